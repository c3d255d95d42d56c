"""What is counted of held-out time, and how far two models differ on it beyond chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.calibration import bands
from ml.features import FEATURES, Windows
from ml.gates.evaluation import _episodes, differences, evaluate
from ml.labels import Labelled
from ml.learning.card import intervals
from ml.policy import BANDS_WEEKLY
from ml.scorecard import CONTINUE, Scores

MINUTE = 60_000_000
DAY = 1440
DAYS, MACHINES = 12, ("A", "B")


def _labelled(equipment: np.ndarray, ends: np.ndarray, fault: np.ndarray, asked: np.ndarray) -> Labelled:
    """Rows (n,) that show nothing; of the normal ones those that nobody asked after are one in ten minutes."""
    count = len(ends)
    windows = Windows(equipment.astype(object), ends, np.zeros(count, bool), np.zeros((count, len(FEATURES))))
    action = np.where(fault, "schedule_maintenance", CONTINUE).astype(object)
    return Labelled(
        windows, action, np.full(count, np.nan), np.ones(count), np.where(fault, 0, -1),
        minutes=np.where(fault | asked, 1.0, 10.0), asked=asked, known=np.zeros(count, np.int64),
    )  # fmt: skip


def _held_out(positive: np.ndarray) -> Labelled:
    """DAYS days of both machines, a row in ten minutes, `positive` (rows a machine,) before a fault."""
    ends = np.arange(0, DAYS * DAY, 10, dtype=np.int64) * MINUTE
    count = len(ends) * len(MACHINES)
    fault = np.tile(positive, len(MACHINES))
    return _labelled(np.repeat(MACHINES, len(ends)), np.tile(ends, len(MACHINES)), fault, np.zeros(count, bool))


class Raises:
    """A model that raises given windows."""

    def __init__(self, raised: np.ndarray) -> None:
        self._anomaly = raised.astype(float)
        self.bands = bands(BANDS_WEEKLY, 1.0, 8.0)

    def score(self, x: np.ndarray, equipment: Any = None) -> Scores:
        some = np.zeros(len(x))
        return Scores(self._anomaly, some, some, some.astype(object), some, some.astype(bool), *[some] * 6)


ROWS = DAYS * DAY // 10
FAULT = np.arange(ROWS) % 144 < 36
BOTH = np.tile(FAULT, len(MACHINES))


def _compare(candidate: np.ndarray, champion: np.ndarray) -> dict[str, float]:
    return differences(Raises(candidate), Raises(champion), _held_out(FAULT))  # type: ignore[arg-type]


def test_the_same_model_differs_by_nothing() -> None:
    noisy = BOTH | (np.random.default_rng(1).random(len(BOTH)) < 0.02)
    assert set(_compare(noisy, noisy).values()) == {0.0}


def test_a_few_windows_are_chance_and_a_day_of_false_alarms_on_each_machine_and_day_is_not() -> None:
    chance = np.random.default_rng(2)
    one, two = (BOTH | (chance.random(len(BOTH)) < 0.01) for _ in range(2))
    found = _compare(one, two)
    assert found["precision_difference_low"] < 0 < found["precision_difference_high"]
    worse = _compare(BOTH | (chance.random(len(BOTH)) < 0.1), two)
    assert worse["precision_difference_high"] < 0
    assert worse["alarm_rate_difference_low"] > 0


def test_what_happened_on_one_day_is_not_beyond_chance() -> None:
    """A thousand false windows in a row are one thing that happened, not a thousand."""
    bad = BOTH.copy()
    bad[200:280] = True
    found = _compare(bad, BOTH)
    assert found["precision_difference"] < -0.05
    assert found["precision_difference_high"] == 0.0


def test_an_alarm_that_comes_and_goes_three_times_chatters() -> None:
    equipment = np.array(["B"] * 200 + ["A"] * 200, dtype=object)
    ends = np.tile(np.arange(200, dtype=np.int64) * MINUTE, 2)
    raised = np.zeros(400, bool)
    raised[[10, 11, 20, 30]] = True  # B: three times within the hour, one episode
    raised[[150]] = True
    raised[200:203] = True  # A: once
    shuffled = np.random.default_rng(3).permutation(400)
    begins, chatters = _episodes(equipment[shuffled], ends[shuffled], raised[shuffled])
    assert sorted(shuffled[begins].tolist()) == [10, 150, 200]
    assert shuffled[chatters].tolist() == [10]
    assert not _episodes(equipment, ends, np.zeros(400, bool))[0].any()


def test_what_was_rejected_counts_for_its_own_minutes_and_no_more() -> None:
    """The quarters of an hour that led to an answer are there whole, and by selection they are what a champion raised.

    Here they fill a day of machine A between two faults: a false alarm throughout.
    """
    even = _held_out(FAULT)
    rejected = (even.windows.equipment == "A") & (even.windows.ends // MINUTE // DAY == 1) & ~even.positive
    even = replace(even, minutes=np.where(rejected, 1.0, even.minutes))
    between = (even.windows.ends[rejected, None] + np.arange(1, 10) * MINUTE).ravel()
    count = len(between)
    both = _labelled(
        np.concatenate([even.windows.equipment, np.full(count, "A")]), np.concatenate([even.windows.ends, between]),
        np.concatenate([even.positive, np.zeros(count, bool)]), np.arange(len(even) + count) >= len(even),
    )  # fmt: skip
    both = replace(both, minutes=np.concatenate([even.minutes, np.ones(count)]))
    raised = both.positive | np.concatenate([rejected, np.ones(count, bool)])
    found = evaluate(Raises(raised), both, 10)  # type: ignore[arg-type]
    faulty, normal = int(FAULT.sum()) * len(MACHINES), 10 * int((~FAULT).sum()) * len(MACHINES)
    false = 10 * int(rejected.sum())
    assert found["precision"] == faulty / (faulty + false)
    assert found["false_alarm_rate"] == false / normal
    assert found["false_windows_per_machine_week"] == pytest.approx(false / (DAYS * len(MACHINES)) * 7, rel=1e-2)
    low, high = intervals(both, Raises(raised).score(both.windows.x), 0)["false_alarm_rate"]
    assert low <= false / normal <= high
    # Each fault is an alarm, but for the two that the false one makes into one.
    assert found["alarm_rate"] == pytest.approx((DAYS * len(MACHINES) - 1) / ((faulty + normal) / (7 * DAY)))
    as_the_grid_has_it = evaluate(Raises(raised[: len(even)]), even, 10)  # type: ignore[arg-type]
    for name in ("chatter_rate", "episodes_weekly_0.7_measured", "episodes_weekly_0.7_low"):
        assert found[name] == as_the_grid_has_it[name]


def test_nothing_held_out_is_no_figure() -> None:
    nothing = _held_out(FAULT).take(np.zeros(0, np.int64))
    found = differences(Raises(BOTH), Raises(BOTH), nothing)  # type: ignore[arg-type]
    assert len(found) == 12 and all(np.isnan(value) for value in found.values())
