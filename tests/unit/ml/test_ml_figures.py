"""Pictures of a model's work on rows that are made up, and the figures in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.features import FEATURES
from ml.learning import card as cards
from ml.learning import figures
from ml.learning.sampling import Sample
from ml.learning.training import fit
from ml.policy import Policy
from ml.scorecard import Scorecard
from tests.unit.ml.conftest import ROWS

POLICY = Policy()
# What samples of the first versions lack, and what they made of these rows.
LATER = ("minutes", "asked", "known")
HASH_BEFORE = "f6c268e58d2c03e0"


@pytest.fixture(scope="module")
def card(sample: Sample) -> Scorecard:
    return fit(sample.rows, POLICY, {"trees": 20, "isolation_trees": 20}, sample.step).scorecard


def test_every_picture_is_drawn_where_there_are_two_classes(sample: Sample, card: Scorecard, tmp_path: Path) -> None:
    scores = card.score(sample.rows.windows.x, sample.rows.windows.equipment)
    drawn = figures.draw(card, sample.rows, scores, sample.ahead, 0, tmp_path)
    assert [path.name for path in drawn] == [
        "confusion_matrix.png", "roc_curve.png", "precision_recall_curve.png", "confidence_calibration.png",
        "horizon_calibration.png", "feature_importance.png",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    normal = np.flatnonzero(~sample.rows.positive)
    assert figures.draw(card, sample.rows.take(normal), scores, sample.ahead, 0, tmp_path) == []


def test_what_the_score_rests_on_is_the_sensor_that_showed_the_faults(sample: Sample, card: Scorecard) -> None:
    falls = figures.importance(card, sample.rows, 0)
    assert falls[0][0] == "vibration deviation" and falls[0][1] > 0.3
    assert falls[1][1] < 0.1
    assert not any(name.startswith("voltage dev") for name, _ in falls), "no row has it"
    assert falls == figures.importance(card, sample.rows, 0)


def test_a_sensor_that_shows_nothing_is_not_important_because_machines_differ(sample: Sample) -> None:
    """B's pressure is thirty times as restless as A's, which on A would look like a fault and says nothing on B."""
    x, restless = sample.rows.windows.x.copy(), sample.rows.windows.equipment == "B"
    columns = [i for i, name in enumerate(FEATURES) if name.startswith("pressure_deviation")]
    x[np.ix_(restless, columns)] *= 30
    rows = replace(sample.rows, windows=replace(sample.rows.windows, x=x))
    falls = dict(figures.importance(fit(rows, POLICY, {"trees": 20, "isolation_trees": 20}, 1).scorecard, rows, 0))
    assert falls["vibration deviation"] > 0.3
    assert abs(falls["pressure deviation"]) < 0.1


def test_the_card_tells_counts_in_full_and_intervals_beside_what_they_are_of(sample: Sample, card: Scorecard) -> None:
    own: dict[str, float | None] = {
        "episodes_weekly_0.5_stated": 1.0, "episodes_weekly_0.5_measured": 3.656, "episodes_weekly_0.5_low": 1.58,
        "episodes_weekly_0.5_high": 6.457, "precision_difference": 0.12, "precision_difference_low": -0.03,
        "precision_difference_high": 0.25, "windows": 25110.0, "ttf_error_h": None, "latency_ms": 5.0,
    }  # fmt: skip
    scores = card.score(sample.rows.windows.x, sample.rows.windows.equipment)
    table = cards._table(cards.Training({}, POLICY, own, "3", {"windows": 24000.0}), sample.rows, scores)
    assert table.splitlines()[:-2] == [
        "| figure | this version | interval | champion then (3) |",
        "|---|---|---|---|",
        "| episodes_weekly_0.5_measured | 3.656 | 1.58 to 6.46 |  |",
        "| precision_difference | 0.12 | -0.03 to 0.25 |  |",
        "| windows | 25,110 |  | 24,000 |",
        "| ttf_error_h |  |  |  |",
    ]
    assert "machine-week" in table.splitlines()[-1], "and in what units"


def test_counts_are_minutes(sample: Sample) -> None:
    weight = np.where(sample.rows.positive, 1.0, 10.0)
    said = np.full(ROWS, "continue_operation", dtype=object)
    names, counts = figures.confusion(sample.rows, said, weight)
    assert names == ["continue_operation", "schedule_maintenance"]
    assert counts.tolist() == [[10.0 * 2700, 0], [300, 0]]


def test_calibration_is_of_what_is_told(sample: Sample, card: Scorecard) -> None:
    """The confidence in an action on the faults that were raised, and a failure within each horizon looked to."""
    count = len(sample.rows)
    scores = card.score(sample.rows.windows.x, sample.rows.windows.equipment)
    action = np.where(np.arange(count) % 4 == 0, "reduce_speed", "schedule_maintenance").astype(object)
    raised = replace(scores, anomaly=np.full(count, 0.8), confidence=np.full(count, 0.75), action=action)
    rows = replace(sample.rows, hours=np.full(count, np.nan))
    ((said, came, minutes),) = figures.confidence_curve(rows, raised)["right action"]
    assert (said, minutes) == (0.75, sample.rows.positive.sum())
    assert came == pytest.approx(np.mean(action[rows.positive] == "schedule_maintenance"))
    assert figures.confidence_curve(rows, replace(raised, anomaly=np.zeros(count)))["right action"] == []

    assert figures.horizon_curves(card, sample.ahead) == {}, "it has no horizons"
    edges = np.array([1.0, 24.0])
    looks = fit(sample.rows, POLICY, {"trees": 20, "isolation_trees": 20}, 1, sample.ahead, edges).scorecard
    curves = figures.horizon_curves(looks, sample.ahead)
    assert list(curves) == ["within 24h"], "it looks no further"
    said_24h = looks.score(sample.ahead.windows.x, sample.ahead.windows.equipment).failure_24h
    came_24h = sample.ahead.hours <= 24
    assert sum(minutes for *_, minutes in curves["within 24h"]) == len(sample.ahead)
    for index, of in ((0, said_24h), (1, came_24h)):
        mean = np.average(
            [row[index] for row in curves["within 24h"]], weights=[row[2] for row in curves["within 24h"]]
        )
        assert mean == pytest.approx(of.mean())


def test_a_sample_comes_back_from_its_arrays(sample: Sample) -> None:
    back = Sample.from_arrays(sample.arrays())
    assert back.hash() == sample.hash() and back.events == sample.events
    assert (back.step, back.since, back.until, back.read_rows) == (1, sample.since, sample.until, ROWS)
    other = replace(sample, rows=replace(sample.rows, weight=sample.rows.weight * 2))
    assert other.hash() != sample.hash()


def test_a_sample_of_an_earlier_version_comes_back_as_it_was_taken_then(sample: Sample) -> None:
    """Its hash is that of its training, or the kept rows were no witness."""
    old = {name: part for name, part in sample.arrays().items() if name not in LATER}
    old["events"] = old["events"][:, :7]
    back = Sample.from_arrays(old | {"extent": np.array([10, *old["extent"][1:]])})
    assert set(back.rows.minutes[back.rows.positive]) == {1.0} and set(back.rows.minutes[~back.rows.positive]) == {10.0}
    assert not back.rows.asked.any() and [e.known for e in back.events] == [e.at for e in sample.events]
    assert Sample.from_arrays(old).hash() == sample.hash() == HASH_BEFORE
    for name, other in (("minutes", sample.rows.minutes * 2), ("asked", ~sample.rows.asked)):
        assert replace(sample, rows=replace(sample.rows, **{name: other})).hash() != sample.hash()
    late = [replace(event, available=event.at + 1) for event in sample.events]
    assert Sample.from_arrays(replace(sample, events=late).arrays()).events == late
    assert replace(sample, events=late).hash() != sample.hash()
