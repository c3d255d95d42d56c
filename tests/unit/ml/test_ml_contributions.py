"""Contributions add up to what the channel says, exactly, and point at what was moved."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.ahead import Ahead
from ml.bundle import EquipmentAnomalyDetector
from ml.features import FEATURES, MEASUREMENTS, Windows
from ml.recommending import contributions
from ml.recommending.contributions import Contributions, Explainer
from ml.scorecard import classifier_inputs
from ml.trees import Trees

COLUMN = {name: index for index, name in enumerate(FEATURES)}
ROWS, FAULTY = 4_000, 400
EXACT = 1e-6


def _rows(rng: np.random.Generator, count: int) -> np.ndarray:
    x = rng.normal(0, 0.7, (count, len(FEATURES)))
    x[:, [COLUMN[f"{m}_flat_minutes"] for m in MEASUREMENTS]] = 0
    x[:, COLUMN["load_ratio"]] = rng.uniform(0.5, 1, count)
    x[:, [index for name, index in COLUMN.items() if name.startswith(("voltage", "current"))]] = np.nan
    return x


def _shifted(x: np.ndarray, measurement: str, by: float | np.ndarray) -> np.ndarray:
    shifted = x.copy()
    for window in (5, 15, 60):
        shifted[:, COLUMN[f"{measurement}_deviation_{window}m"]] += by
    return shifted


@pytest.fixture(scope="module")
def taught() -> EquipmentAnomalyDetector:
    """Knows worn bearings (vibration), and nothing of pressure."""
    rng = np.random.default_rng(2)
    normal = _rows(rng, ROWS)
    worn = _shifted(_rows(rng, FAULTY), "vibration", rng.uniform(3, 10, FAULTY))
    y = ["continue_operation"] * ROWS + ["schedule_maintenance"] * FAULTY
    x = np.vstack([normal, worn])
    windows = Windows(np.full(len(x), "M1", object), np.arange(len(x)) * 60_000_000, np.zeros(len(x), bool), x)
    hours = np.concatenate([np.full(ROWS, np.inf), rng.uniform(1, 24, FAULTY)])
    event = np.concatenate([np.full(ROWS, -1), np.arange(FAULTY) % 10])
    ahead = Ahead(windows, hours, np.full(len(x), np.inf), event, np.ones(len(x)))
    return EquipmentAnomalyDetector(trees=20, isolation_trees=20).fit(x, y, ahead=ahead, edges=(6, 24))


@pytest.fixture(scope="module")
def explainer(taught: EquipmentAnomalyDetector) -> Explainer:
    return Explainer(taught.scorecard)


def _explained(explainer: Explainer, row: np.ndarray, action: str | None) -> dict[str, Contributions]:
    return {part.channel: part for part in explainer(row, "M1", action)}


def test_every_channel_adds_up_to_what_the_scorecard_says(
    taught: EquipmentAnomalyDetector, explainer: Explainer
) -> None:
    rng = np.random.default_rng(3)
    told = set()
    for by in (0.0, 2.5, 6.0, 30.0):
        for measurement in ("vibration", "pressure"):
            row = _shifted(_rows(rng, 1), measurement, by)[0]
            for part in explainer(row, "M1", "schedule_maintenance"):
                assert part.base + part.values.sum() == pytest.approx(part.output, abs=EXACT), part.channel
                assert len(part.names) == len(part.values)
                told.add(part.channel)
            probability = taught.predict_proba(row[None, :])[0, list(taught.classes_).index("schedule_maintenance")]
            whole = _explained(explainer, row, "schedule_maintenance")["classifier"]
            assert whole.output == pytest.approx(probability, abs=EXACT)
    assert told == {"classifier", "isolation", "t2", "q", "largest", "ahead"}


@pytest.mark.parametrize(("measurement", "action"), [("vibration", "schedule_maintenance"), ("pressure", None)])
def test_what_was_moved_leads(explainer: Explainer, measurement: str, action: str | None) -> None:
    row = _shifted(_rows(np.random.default_rng(5), 1), measurement, 8.0)[0]
    parts = _explained(explainer, row, action)
    assert ("classifier" in parts) == (action is not None)
    for part in parts.values():
        assert part.names[int(part.shares.argmax())].startswith(measurement), part.channel
        assert part.shares[part.shares > 0].sum() == pytest.approx(1)


def test_forests_are_explained_as_shap_explains_them(taught: EquipmentAnomalyDetector) -> None:
    with warnings.catch_warnings():
        # Its plots use what matplotlib is about to remove.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import shap

    card = taught.scorecard
    assert card.classifier is not None
    for x in _shifted(_rows(np.random.default_rng(7), 3), "vibration", 6.0):
        seen = classifier_inputs(x[None, :]).astype(np.float32)
        theirs = shap.TreeExplainer(taught.classifier_, feature_perturbation="tree_path_dependent")
        ours = contributions.Forest(card.classifier, seen.shape[1])
        assert ours(seen[0].astype(float)) == pytest.approx(theirs.shap_values(seen)[0], abs=EXACT)
        assert ours.base == pytest.approx(theirs.expected_value, abs=EXACT)
        scaled = card.scaled(x[None, :], None).astype(np.float32)
        theirs = shap.TreeExplainer(taught.detector_.isolation_, feature_perturbation="tree_path_dependent")
        ours = contributions.Forest(card.detector.isolation, scaled.shape[1])
        assert ours(scaled[0].astype(float))[:, 0] == pytest.approx(theirs.shap_values(scaled)[0], abs=EXACT)
        assert ours.base[0] == pytest.approx(np.atleast_1d(theirs.expected_value)[0], abs=EXACT)


def test_a_normal_window_is_explained_by_its_most_surprising_channel_alone(explainer: Explainer) -> None:
    row = np.zeros(len(FEATURES))
    assert len(explainer(row, "M1", None)) == 1


def test_a_tree_by_hand() -> None:
    """x0 <= 0: 1, else x1 <= 0: 2, else 6; four, two and two of eight rows: SHAP by averaging both orders."""
    tree = Trees(
        roots=np.array([0], np.int32), feature=np.array([0, 0, 1, 0, 0], np.int32), threshold=np.zeros(5),
        left=np.array([1, 1, 3, 3, 4], np.int32), right=np.array([2, 1, 4, 3, 4], np.int32),
        value=np.array([[0.0], [1.0], [0.0], [2.0], [6.0]]), cover=np.array([8.0, 4, 4, 2, 2]), depth=2,
    )  # fmt: skip
    forest = contributions.Forest(tree, 3)
    assert forest.base == pytest.approx([2.5])
    # v(none) 2.5, v(x0) 4, v(x1) 0.5 + 3 = 3.5, v(both) 6.
    assert forest(np.array([1.0, 1.0, 0.0]))[:, 0] == pytest.approx([(1.5 + 2.5) / 2, (1.0 + 2.0) / 2, 0.0])


@settings(max_examples=50)
@given(arrays(float, 6, elements=st.floats(-50, 50)), st.integers(1, 5), st.integers(0, 1000))
def test_the_statistics_are_decomposed_exactly(row: np.ndarray, kept: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(6, 6)))[0][:kept]
    variances = rng.uniform(0.1, 3, kept)
    scores = row @ directions.T
    inverse = (directions.T / variances) @ directions
    size = 1 + float(row @ row)
    t2, q = (scores**2 / variances).sum(), float(row @ row - scores @ scores)
    assert contributions.quadratic(row, inverse).sum() == pytest.approx(t2, abs=1e-9 * size)
    left = np.eye(6) - directions.T @ directions
    assert contributions.quadratic(row, left).sum() == pytest.approx(q, abs=1e-9 * size)
    assert contributions.largest(np.abs(row)).sum() == np.abs(row).max()
