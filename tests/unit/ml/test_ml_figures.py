"""Pictures of a model's work on rows that are made up, and the figures in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml import figures
from ml.policy import Policy
from ml.sampling import Sample
from ml.scorecard import Scorecard
from ml.training import fit
from tests.unit.ml.conftest import ROWS

POLICY = Policy()


@pytest.fixture(scope="module")
def card(sample: Sample) -> Scorecard:
    return fit(sample.rows, POLICY, {"trees": 20, "isolation_trees": 20}, sample.step).scorecard


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
