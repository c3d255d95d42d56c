"""What a window is labelled, apart from where failures and answers come from."""

from __future__ import annotations

import numpy as np
import pytest

from ml.features import FEATURES, Windows
from ml.labels import HOUR, REJECTED_WEIGHT, Event, Judgment, Labelled, label
from ml.policy import Policy

ROWS = 400
MINUTES = 2000
MINUTE = 60_000_000


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


def _at(minute: int) -> int:
    return minute * MINUTE + HOUR


def _labelled(known: list[Event], answers: list[Judgment], *out: range) -> Labelled:
    """Machine A, of which the minutes `out` are far out of an hour that is else like the others."""
    x = np.zeros((MINUTES, len(FEATURES)))
    x[:, FEATURES.index("vibration_deviation_5m")] = np.random.default_rng(0).normal(0, 0.3, MINUTES)
    for minutes in out:
        x[minutes, FEATURES.index("vibration_deviation_5m")] = 8.0
    windows = Windows(
        np.full(MINUTES, "A", dtype=object),
        np.arange(MINUTES, dtype=np.int64) * MINUTE + HOUR,
        np.zeros(MINUTES, bool),
        x,
    )
    policy = Policy(positive_hours=6, clear_days=0.1)
    return label(windows, known, answers, policy, _at(MINUTES), np.ones(MINUTES), np.zeros(MINUTES, bool))


@pytest.mark.parametrize(("mode", "failed"), [("sensor_drift", True), ("cooling_loss", False)])
def test_of_two_events_ahead_a_window_shows_the_nearer_one(mode: str, failed: bool) -> None:
    """A bearing fails, and 280 minutes later there is a sensor's fault or one that was caught: it shows neither."""
    bearing = Event("F1", "A", "bearing_wear", _at(1200), _at(1260), True, available=_at(1260))
    later = Event("F2", "A", mode, _at(1480), _at(1490), failed, available=_at(1490))
    found = _labelled([bearing, later], [], range(1190, 1200))
    before = found.windows.ends == _at(1195)
    assert found.action[before].tolist() == ["schedule_maintenance"]
    assert (found.event[before].item(), found.known[before].item()) == (0, bearing.known)
    assert found.hours[before] == pytest.approx(5 / 60)
    # Turned round, the sensor's minutes are the sensor's, and how far the failure is doesn't change by that.
    sensor = Event("F0", "A", "sensor_stuck", _at(1180), _at(1181), True)
    found = _labelled([sensor, bearing], [], range(1170, 1180))
    before = found.windows.ends == _at(1175)
    assert found.action[before].tolist() == ["preventive_inspection"]
    assert found.hours[before] == pytest.approx(25 / 60)
    # A fault that was caught doesn't say how far its failure was, whatever failed later.
    mended = Event("W", "A", "cooling_loss", _at(1180), _at(1181), False)
    found = _labelled([mended, bearing], [], range(1170, 1180))
    assert np.isnan(found.hours[found.windows.ends == _at(1175)]).all()


def test_what_an_answer_confirms_teaches_without_a_failure_and_nothing_around_it_is_normal() -> None:
    """The fault goes on for hours after the recommendation: those minutes are neither normal nor the normal spread."""
    confirmed = Judgment("A", _at(1500), _at(1515), "true_positive", "check_blockage", _at(1520))
    found = _labelled([], [confirmed], range(1400, 1800))
    assert found.windows.ends[found.positive].tolist() == [_at(minute) for minute in range(1501, 1516)]
    assert set(found.action[found.positive]) == {"check_blockage"}
    normal = found.windows.ends[~found.positive]
    assert normal.max() <= _at(1515) - round(0.1 * 24 * HOUR), "nor is a day later, when it is taken to be over"


@pytest.mark.parametrize("turned", [False, True])
def test_where_answers_overlap_the_one_that_confirms_counts_whichever_came_first(turned: bool) -> None:
    answers = [
        Judgment("A", _at(1500), _at(1515), "true_positive", "check_blockage", _at(1520)),
        Judgment("A", _at(1505), _at(1520), "false_positive", None, _at(1900)),
    ]
    found = _labelled([], answers[::-1] if turned else answers, range(1500, 1521))
    both = (found.windows.ends > _at(1505)) & (found.windows.ends <= _at(1515))
    assert both.sum() == 10 and found.positive[both].all()
    assert (found.weight[both] == 1).all() and (found.known[both] == _at(1520)).all()
    rejected = (found.windows.ends > _at(1515)) & (found.windows.ends <= _at(1520))
    assert (found.weight[rejected] == REJECTED_WEIGHT).all() and not found.positive[rejected].any()
    assert rejected.sum() == 5, "what was looked at and found well is known, however near"
