"""A confidence is how often such a choice was right of a fault that the forest hadn't seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from ml import confidence
from ml.scorecard import CONFIDENCE_GRID, CONTINUE, NO_PRECEDENT, leading


def _forest(seed: int, oob: bool = False) -> Any:
    return RandomForestClassifier(20, min_samples_leaf=5, oob_score=oob, random_state=seed)


def _events(told_apart: bool, events: int = 12, rows: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal rows at 0; every event sits somewhere of its own, which tells its cause or not."""
    rng = np.random.default_rng(3)
    x, y, group = [rng.normal(0, 0.3, (400, 2))], [np.full(400, CONTINUE, dtype=object)], [np.zeros(400, np.int64)]
    for event in range(events):
        cause = event % 2
        place = np.array([6.0, 4.0 * cause if told_apart else rng.uniform(0, 8)])
        x.append(place + rng.normal(0, 0.1, (rows, 2)))
        y.append(np.full(rows, ("check_blockage", "reduce_speed")[cause], dtype=object))
        group.append(np.full(rows, event + 1))
    return np.vstack(x), np.concatenate(y).astype(str), np.concatenate(group)


def _confidence(told_apart: bool) -> float:
    x, y, group = _events(told_apart)
    fitted = _forest(0, oob=True).fit(x, y)
    curve = confidence.curve(_forest, fitted, x, y, group, None, 0)
    assert (np.diff(curve) > 0).all()
    return float(curve[-1])


def test_causes_that_are_told_apart_are_believed() -> None:
    assert _confidence(told_apart=True) > 0.95


def test_causes_that_only_memory_tells_apart_are_not() -> None:
    x, y, _ = _events(told_apart=False)
    fitted = _forest(0, oob=True).fit(x, y)
    _, share = leading(fitted.oob_decision_function_[y != CONTINUE], list(fitted.classes_))
    assert np.median(share) > 0.85, "out of bag it looks sure"
    assert _confidence(told_apart=False) < 0.8


def test_too_few_events_leave_the_share_as_it_is() -> None:
    x, y, group = _events(told_apart=True, events=2)
    fitted = _forest(0, oob=True).fit(x, y)
    assert confidence.curve(_forest, fitted, x, y, group, None, 0) == pytest.approx(CONFIDENCE_GRID)


def test_the_rows_of_an_event_belong_together_and_answers_by_machine() -> None:
    group = confidence.groups(np.array(["A", "B", "A", "B"], dtype=object), np.array([5, 5, -1, -1]))
    assert group[0] == group[1] and len(set(group)) == 3


def test_of_two_causes_about_as_likely_the_machine_comes_first() -> None:
    classes = [CONTINUE, NO_PRECEDENT, "schedule_maintenance"]
    action, share = leading(np.array([[0.2, 0.42, 0.38], [0.2, 0.7, 0.1]]), classes)
    assert action.tolist() == ["schedule_maintenance", NO_PRECEDENT]
    assert share == pytest.approx([0.38 / 0.8, 0.7 / 0.8])
