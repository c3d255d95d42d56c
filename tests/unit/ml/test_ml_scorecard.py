"""What a scorecard says of windows: score, action, confidence, and the same from whatever it was read."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml import hazard
from ml.bundle import TRUSTED_TYPES, EquipmentAnomalyDetector
from ml.features import FEATURES, MEASUREMENTS
from ml.horizons import inputs
from ml.registry import load_bundle
from ml.scorecard import (
    AHEAD,
    NO_PRECEDENT,
    SHUTDOWN,
    WATCHED,
    Scorecard,
    Scores,
    classifier_inputs,
    detected,
)
from tests.unit.ml.deviations import shift


def test_a_critical_fault_that_all_but_surely_fails_within_the_hour_is_shut_down(
    taught: EquipmentAnomalyDetector, normal: np.ndarray
) -> None:
    card = taught.scorecard
    assert card.horizons is not None
    at_once = replace(card, horizons=replace(card.horizons, calibration=np.full_like(card.horizons.calibration, 0.95)))
    worn = shift(normal[:50], "vibration", np.full(50, 9.0))
    assert set(at_once.score(worn).action) == {SHUTDOWN}
    assert at_once.score(worn).confidence == pytest.approx(0.95)
    strange = shift(normal[:50], "pressure", np.full(50, 15.0))
    assert set(at_once.score(strange).action) == {AHEAD}, "nobody knows what it is, but that it fails"
    assert set(at_once.score(normal[:50]).action) == {AHEAD}, "no reading shows it"
    later = replace(card, horizons=None)
    assert set(later.score(strange).action) == {NO_PRECEDENT}, "nobody knows what it is"
    assert set(later.score(normal[:50]).action) == {"continue_operation"}
    assert SHUTDOWN not in card.score(worn).action


def test_a_likely_failure_is_raised_though_no_reading_shows_it(
    taught: EquipmentAnomalyDetector, normal: np.ndarray
) -> None:
    card, rows = taught.scorecard, normal[:50]
    assert card.horizons is not None

    def said(likely: float) -> Scores:
        return replace(
            card, horizons=replace(card.horizons, calibration=np.full_like(card.horizons.calibration, likely))
        ).score(rows)

    quiet = replace(card, horizons=None).score(rows)
    assert np.array_equal(said(0.2).anomaly, quiet.anomaly)
    assert set(said(0.3).action) == {"continue_operation"}
    for likely, score in ((0.45, 0.5), (0.5, 0.7), (0.9, 0.9)):
        raised = said(likely)
        assert raised.anomaly.min() >= score - 1e-9
        assert set(raised.action) == {AHEAD} and raised.confidence == pytest.approx(likely)
        assert raised.precedent.all()
        assert np.isfinite(raised.hours_to_failure).all() == (likely >= 0.5)
    strange = shift(rows, "pressure", np.full(50, 15.0))
    assert set(card.score(strange).action) == {NO_PRECEDENT}


def test_the_score_rises_with_both_kinds_of_evidence(taught: EquipmentAnomalyDetector) -> None:
    card = taught.scorecard
    known = np.linspace(0, 1, 101)
    raw = np.linspace(0, 12, 200)
    for fixed in (0.0, 2.0, 4.0, 8.0):
        assert (np.diff(card.combine(known, np.full_like(known, fixed))) >= -1e-12).all()
    for fixed in (0.0, 0.3, 1.0):
        assert (np.diff(card.combine(np.full_like(raw, fixed), raw)) >= -1e-12).all()


def test_everything_missing_is_normal_not_an_error(taught: EquipmentAnomalyDetector) -> None:
    scores = taught.score_windows(np.full((3, len(FEATURES)), np.nan), ["M0", "unknown", ""])
    assert (scores.anomaly < 0.5).all()
    assert (scores.confidence == 0).all(), "a machine without a baseline is not known to be well"
    assert (scores.supervised == 0).all(), "where nothing was measured no fault is known"
    assert len(taught.score_windows(np.empty((0, len(FEATURES)))).anomaly) == 0


def test_numpy_and_scikit_learn_agree(taught: EquipmentAnomalyDetector, normal: np.ndarray) -> None:
    x = np.vstack([normal[:300], shift(normal[:300], "vibration", np.linspace(0, 12, 300))])
    card = taught.scorecard
    theirs = taught.classifier_.predict_proba(classifier_inputs(x))
    assert np.abs(theirs - card.probabilities(x)).max() < 1e-9
    depth = -taught.detector_.isolation_.score_samples(card.scaled(x, None))
    assert np.abs(depth - card.detector.raw(card.scaled(x, None))["isolation"]).max() < 1e-9
    forest = taught.horizon_forest_
    within = hazard.shares(forest, forest.predict_proba(inputs(x)), 5)
    assert card.horizons is not None
    assert np.abs(within - card.horizons.forest.mean(inputs(x))).max() < 1e-9


def test_saved_both_ways_it_scores_the_same(
    taught: EquipmentAnomalyDetector, normal: np.ndarray, tmp_path: Path
) -> None:
    import skops.io

    skops.io.dump(taught, tmp_path / "bundle.skops")
    np.savez(tmp_path / "card.npz", **taught.scorecard.arrays())  # type: ignore[arg-type]
    with np.load(tmp_path / "card.npz", allow_pickle=False) as arrays:
        card = Scorecard.from_arrays(dict(arrays))
    x = normal[:500]
    equipment = np.array(["M1"] * 500, dtype=object)
    expected = taught.score_windows(x, equipment)
    for other in (load_bundle(tmp_path / "bundle.skops").score_windows(x, equipment), card.score(x, equipment)):
        assert np.array_equal(other.anomaly, expected.anomaly)
        assert np.array_equal(other.failure_24h, expected.failure_24h)
        assert list(other.action) == list(expected.action)
    assert skops.io.get_untrusted_types(file=tmp_path / "bundle.skops") == sorted(TRUSTED_TYPES)


def test_a_version_from_before_machines_had_tails_scores_by_that_of_all(
    taught: EquipmentAnomalyDetector, normal: np.ndarray, machines: np.ndarray
) -> None:
    arrays = taught.scorecard.arrays()
    del arrays["own"]
    before = Scorecard.from_arrays(arrays)
    pooled = before.detector.surprise(before.scaled(normal[:100], machines[:100]))
    assert before.unsupervised(normal[:100], machines[:100]) == pytest.approx(pooled, abs=1e-12)
    bundle = deepcopy(taught)
    del bundle.own_
    assert np.array_equal(bundle.scorecard.own, before.own), "as the registry gives it out"


def test_the_detector_watches_by_name_and_not_what_tells_machines_apart() -> None:
    assert detected(np.zeros((1, len(FEATURES)))).shape == (1, len(WATCHED))
    assert {f"{m}_deviation_{w}m" for m in MEASUREMENTS for w in (5, 15, 60)} <= set(WATCHED) <= set(FEATURES)
    assert "load_ratio" not in WATCHED
