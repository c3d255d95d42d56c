"""What is counted of held-out time, and how far two models differ on it beyond chance."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.evaluation import _episodes, differences
from ml.features import FEATURES, Windows
from ml.labels import Labelled
from ml.scorecard import CONTINUE, Scores

MINUTE = 60_000_000
DAY = 1440
DAYS, MACHINES = 12, ("A", "B")


def _held_out(positive: np.ndarray) -> Labelled:
    """DAYS days of both machines, a row in ten minutes, `positive` (rows a machine,) before a fault."""
    ends = np.arange(0, DAYS * DAY, 10, dtype=np.int64) * MINUTE
    count = len(ends) * len(MACHINES)
    windows = Windows(
        np.repeat(np.array(MACHINES, dtype=object), len(ends)), np.tile(ends, len(MACHINES)), np.zeros(count, bool),
        np.zeros((count, len(FEATURES))),
    )  # fmt: skip
    fault = np.tile(positive, len(MACHINES))
    action = np.where(fault, "schedule_maintenance", CONTINUE).astype(object)
    return Labelled(windows, action, np.full(count, np.nan), np.ones(count), np.where(fault, 0, -1))


class Raises:
    """A model that raises given windows."""

    def __init__(self, raised: np.ndarray) -> None:
        self._anomaly = raised.astype(float)

    def score(self, x: np.ndarray, equipment: Any = None) -> Scores:
        some = np.zeros(len(x))
        return Scores(self._anomaly, some, some, some.astype(object), some, some.astype(bool), *[some] * 6)


ROWS = DAYS * DAY // 10
FAULT = np.arange(ROWS) % 144 < 36
BOTH = np.tile(FAULT, len(MACHINES))


def _compare(candidate: np.ndarray, champion: np.ndarray) -> dict[str, float]:
    return differences(Raises(candidate), Raises(champion), _held_out(FAULT), 10)  # type: ignore[arg-type]


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


def test_nothing_held_out_is_no_figure() -> None:
    nothing = _held_out(FAULT).take(np.zeros(0, np.int64))
    found = differences(Raises(BOTH), Raises(BOTH), nothing, 10)  # type: ignore[arg-type]
    assert len(found) == 12 and all(np.isnan(value) for value in found.values())
