"""How fast this machine is just now: the limits of a smoke run are times on a machine of a stated speed.

A shared machine may take four times as long for the same work from one hour to the next. A limit in plain seconds
would then say how busy its neighbours were; so it is stretched by how much longer a fixed piece of work takes here.
"""

from __future__ import annotations

import statistics
import time

# Ten million of these additions take 0.7 s on the machine whose times the limits are (2 cores at 2.5 GHz, Python 3.11).
ADDITIONS = 2_000_000
REFERENCE_S = 0.14
TIMES = 5


def slowness() -> float:
    """How many times longer than there the work takes on this machine, 1 where it doesn't; takes about a second."""
    return max(1.0, statistics.median(_timed() for _ in range(TIMES)) / REFERENCE_S)


def _timed() -> float:
    began = time.perf_counter()
    total = 0
    for number in range(ADDITIONS):
        total += number
    return time.perf_counter() - began
