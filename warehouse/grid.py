"""One minute of each ten, which stands for them: a first build's sparse days, and what is drawn or counted of history.

A plant's day has a rhythm: shifts, breaks and stops begin at full five or ten minutes. A grid of full ten minutes would
see starts at the same age every time, and never at their second minute. So the place within the ten is hashed (D. E.
Knuth's multiplicative hash, The Art of Computer Programming 3, 6.4). The dbt macro `on_stride` is the same rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID_MINUTES = 10
_MINUTE = 60_000_000
_FACTOR, _DIVISOR = 2_654_435_761, 65_536


def on_grid(ends: NDArray[np.int64]) -> NDArray[Any]:
    """Which windows (n,) of these ends in microseconds are on the grid; none that doesn't end on a full minute."""
    minutes, rest = np.divmod(ends, _MINUTE)
    blocks, place = np.divmod(minutes, GRID_MINUTES)
    return np.asarray((rest == 0) & (place == blocks * _FACTOR // _DIVISOR % GRID_MINUTES))


def sql_on_grid(column: str) -> str:
    """The same as an SQL expression on a timestamptz column that holds full minutes; no percent sign is in it."""
    minutes = f"(extract(epoch FROM {column}) / 60)::bigint"
    place = f"mod({minutes} / {GRID_MINUTES} * {_FACTOR} / {_DIVISOR}, {GRID_MINUTES})"
    return f"(mod({minutes}, {GRID_MINUTES}) = {place})"
