"""What the smoke run measures by itself."""

from __future__ import annotations

import time

import psutil

from stack.observation import MemoryGauge
from stack.supervisor import memory_mb


def test_the_gauge_sees_a_peak_of_two_seconds() -> None:
    before = memory_mb([psutil.Process()])
    with MemoryGauge() as gauge:
        time.sleep(1.5)  # a first look
        block = b"x" * 200_000_000
        time.sleep(2.5)
        del block
        time.sleep(1.5)
    # A page is counted by its share: ours are less as soon as another process maps the same libraries.
    assert gauge.peak_mb > min(before, memory_mb([psutil.Process()])) + 190
