"""What a window is labelled, apart from where failures and answers come from."""

from __future__ import annotations

import numpy as np
import pytest

from ml.features import FEATURES, Windows
from ml.labels import HOUR, Event, label
from ml.policy import Policy

ROWS = 400


@pytest.mark.parametrize(("commissioning", "shows"), [(ROWS - 100, True), (ROWS, False)])
def test_a_fault_shows_beside_the_machines_own_spread_from_its_commissioning_on(
    commissioning: int, shows: bool
) -> None:
    """A is quiet and B is not: what sticks out of A's own spread is usual in that of all machines."""
    count = 2 * ROWS
    machine = np.repeat(np.array(["A", "B"], dtype=object), ROWS)
    x = np.zeros((count, len(FEATURES)))
    rng = np.random.default_rng(0)
    x[:, FEATURES.index("vibration_deviation_5m")] = rng.normal(0, np.where(machine == "A", 0.2, 2.0))
    ends = np.tile(np.arange(ROWS, dtype=np.int64), 2) * 60_000_000 + HOUR
    at = int(ends[ROWS - 1])
    before = np.flatnonzero((machine == "A") & (ends > at - HOUR))
    x[before, FEATURES.index("vibration_deviation_5m")] = 4.0
    policy = Policy(commissioning_windows=commissioning, positive_hours=1, clear_days=1 / 24)
    event = Event("F", "A", "bearing_wear", at, at, True)
    windows = Windows(machine, ends, np.zeros(count, bool), x)
    found = label(windows, [event], [], policy, at, np.ones(count), np.zeros(count, bool))
    assert found.positive.any() == shows
