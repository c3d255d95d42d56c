"""Pictures of a model's work on rows that are made up, and the figures in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml import figures, tuning
from ml.features import FEATURES, Windows
from ml.labels import HOUR, Event, Labelled
from ml.policy import Policy
from ml.sampling import Sample
from ml.scorecard import Scorecard
from ml.training import fit

ROWS = 3000
VIBRATION = [FEATURES.index(f"vibration_deviation_{w}m") for w in (5, 15, 60)]
POLICY = Policy()


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Two machines for 25 hours; a fault of the first one in every fifth."""
    rng = np.random.default_rng(0)
    ends = np.repeat(np.arange(1, ROWS // 2 + 1), 2) * 60_000_000
    machine = np.array(["A", "B"] * (ROWS // 2), dtype=object)
    x = rng.normal(0, 0.7, (ROWS, len(FEATURES)))
    x[:, [i for i, name in enumerate(FEATURES) if name.endswith("_flat_minutes")]] = 0
    x[:, [i for i, name in enumerate(FEATURES) if name.startswith("voltage")]] = np.nan
    known = [Event(f"F{k}", "A", "bearing_wear", 5 * HOUR * (k + 1), 5 * HOUR * (k + 1), True) for k in range(5)]
    event, hours = np.full(ROWS, -1), np.full(ROWS, np.nan)
    for k, item in enumerate(known):
        rows = np.flatnonzero((machine == "A") & (ends > item.at - HOUR) & (ends <= item.at))
        event[rows], hours[rows] = k, (item.at - ends[rows]) / HOUR
        x[np.ix_(rows, VIBRATION)] += 6
    action = np.where(event >= 0, "schedule_maintenance", "continue_operation").astype(object)
    labelled = Labelled(Windows(machine, ends, np.zeros(ROWS, bool), x), action, hours, np.ones(ROWS), event)
    return Sample(labelled, 1, 60_000_000, int(ends[-1]), ROWS, known)


@pytest.fixture(scope="module")
def card(sample: Sample) -> Scorecard:
    return fit(sample.rows, POLICY, {"trees": 20, "isolation_trees": 20}).scorecard


def test_every_picture_is_drawn_where_there_are_two_classes(sample: Sample, card: Scorecard, tmp_path: Path) -> None:
    scores = card.score(sample.rows.windows.x, sample.rows.windows.equipment)
    drawn = figures.draw(card, sample.rows, scores, 10, 0, tmp_path)
    assert [path.name for path in drawn] == [
        "confusion_matrix.png", "roc_curve.png", "precision_recall_curve.png", "calibration.png",
        "feature_importance.png",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    normal = np.flatnonzero(~sample.rows.positive)
    assert figures.draw(card, sample.rows.take(normal), scores, 10, 0, tmp_path) == []


def test_what_the_score_rests_on_is_the_sensor_that_showed_the_faults(sample: Sample, card: Scorecard) -> None:
    falls = figures.importance(card, sample.rows, 1, 0)
    assert falls[0][0] == "vibration deviation" and falls[0][1] > 0.3
    assert falls[1][1] < 0.1
    assert not any(name.startswith("voltage dev") for name, _ in falls), "no row has it"
    assert falls == figures.importance(card, sample.rows, 1, 0)


def test_counts_are_minutes(sample: Sample) -> None:
    weight = np.where(sample.rows.positive, 1.0, 10.0)
    said = np.full(ROWS, "continue_operation", dtype=object)
    names, counts = figures.confusion(sample.rows, said, weight)
    assert names == ["continue_operation", "schedule_maintenance"]
    assert counts.tolist() == [[10.0 * 2700, 0], [300, 0]]


def test_reliability_of_a_calibrated_probability_is_the_diagonal() -> None:
    rng = np.random.default_rng(1)
    probability = rng.uniform(size=50_000)
    said, was, weight = figures.reliability(rng.uniform(size=50_000) < probability, probability, np.ones(50_000))
    assert len(said) == figures.BINS and weight.sum() == 50_000
    assert np.abs(said - was).max() < 0.03


def test_a_sample_comes_back_from_its_arrays(sample: Sample) -> None:
    back = Sample.from_arrays(sample.arrays())
    assert back.hash() == sample.hash() and back.events == sample.events
    assert (back.step, back.since, back.until, back.read_rows) == (1, sample.since, sample.until, ROWS)
    other = replace(sample, rows=replace(sample.rows, weight=sample.rows.weight * 2))
    assert other.hash() != sample.hash()


def test_folds_expand_and_know_nothing_later(sample: Sample) -> None:
    parts = tuning.folds(sample.rows, sample.events)
    assert [round(before.windows.ends.max() / HOUR) for before, _ in parts] == [5, 10, 15]
    for before, after in parts:
        assert after.windows.ends.min() > before.windows.ends.max() + tuning.PURGE
        assert 0 < after.positive.sum() < len(after)
    one_fault = sample.rows.take(np.flatnonzero(sample.rows.event <= 0))
    assert tuning.folds(one_fault, sample.events) == []


def test_false_alarms_cost_what_they_exceed(sample: Sample) -> None:
    rows = sample.rows
    perfect = np.where(rows.positive, 0.9, 0.1)
    assert tuning.worth(perfect, rows, 10, POLICY) == pytest.approx(1.0)
    # Ranked right, but a tenth of what is normal is over the alert threshold: twice what the policy allows.
    normal = np.flatnonzero(~rows.positive)
    loud = perfect.copy()
    loud[normal[: len(normal) // 10]] = 0.8
    assert tuning.worth(loud, rows, 10, POLICY) == pytest.approx(0.5)
