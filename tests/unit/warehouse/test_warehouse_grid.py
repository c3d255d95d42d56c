"""The minutes that stand for ten."""

from __future__ import annotations

import numpy as np

from warehouse.grid import GRID_MINUTES, on_grid

MINUTE = 60_000_000
DAY = 24 * 60
BEGUN = 29_000_000 // DAY * DAY  # minutes since 1970, in 2025


def test_each_ten_minutes_have_one_and_only_full_minutes_are() -> None:
    minutes = np.arange(BEGUN, BEGUN + 30 * DAY, dtype=np.int64)
    assert (on_grid(minutes * MINUTE).reshape(-1, GRID_MINUTES).sum(axis=1) == 1).all()
    assert not on_grid(minutes * MINUTE + 1).any()


def test_no_minute_of_an_hour_and_none_of_a_day_is_always_left_out() -> None:
    """What begins at full ten minutes is seen at every age; the same minute of 200 days about 20 times."""
    days = on_grid(np.arange(BEGUN, BEGUN + 200 * DAY, dtype=np.int64) * MINUTE).reshape(200, DAY)
    of_the_hour = days.reshape(-1, 60).mean(axis=0)
    assert np.abs(of_the_hour - 1 / GRID_MINUTES).max() < 0.02
    of_the_day = days.mean(axis=0)
    assert of_the_day.min() > 0.02 and of_the_day.max() < 0.25
