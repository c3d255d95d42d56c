"""The detector: each channel sees what it is there for, and plain arrays answer as the estimator does."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from ml.calibration import surprise_of
from ml.channels import NAMES, Channels
from ml.detector import Detector, components

ROWS = 4000


def _rows(seed: int, count: int = ROWS) -> np.ndarray:
    """Six inputs of which three pairs move together."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(count, 3))
    return np.hstack([common, common]) + 0.2 * rng.normal(size=(count, 6))


@pytest.fixture(scope="module")
def fitted() -> Detector:
    return Detector(trees=30).fit(_rows(1))


def test_its_surprise_is_the_share_of_normal_rows_beyond(fitted: Detector) -> None:
    scores = fitted.score_samples(_rows(2))
    for rate in (0.1, 0.01):
        assert (scores > surprise_of(rate)).mean() == pytest.approx(rate, rel=0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        surprise_of(1.0)
    assert (fitted.predict(_rows(2), 0.1) == -1).mean() == pytest.approx(0.1, rel=0.5)


def test_q_sees_a_broken_correlation_and_t2_a_far_combination(fitted: Detector) -> None:
    """Neither is far out in any one input."""
    apart = np.zeros((1, 6))
    apart[0, [0, 3]] = 1.0, -1.0
    far = np.full((1, 6), 2.2)
    for row, channel in ((apart, "q"), (far, "t2")):
        found = fitted.channels(row)
        assert set(found) == set(NAMES)
        assert found[channel][0] > 2.5 > found["largest"][0]
    alone = np.zeros((1, 6))
    alone[0, 2] = 9.0
    assert fitted.channels(alone)["largest"][0] > 4


def test_plain_arrays_answer_as_the_estimator(fitted: Detector, tmp_path: Path) -> None:
    import skops.io

    x = _rows(3, 200) * np.linspace(0.5, 4, 200)[:, None]
    np.savez(tmp_path / "d.npz", **fitted.channels_.arrays("d"))  # type: ignore[arg-type]
    with np.load(tmp_path / "d.npz", allow_pickle=False) as arrays:
        again = Channels.from_arrays(dict(arrays), "d")
    assert np.array_equal(again.surprise(x), fitted.score_samples(x))
    assert np.allclose(again.raw(x)["isolation"], -fitted.isolation_.score_samples(x / fitted.scale_
        - fitted.centre_ / fitted.scale_))  # fmt: skip
    skops.io.dump(fitted, tmp_path / "d.skops")
    trusted = ["ml.calibration.Sides", "ml.calibration.Tail", "ml.detector.Detector", "sklearn.tree._tree.Tree"]
    loaded = skops.io.load(tmp_path / "d.skops", trusted=trusted)
    assert np.array_equal(loaded.score_samples(x), fitted.score_samples(x))


def test_a_column_that_never_moved_or_was_never_measured_is_no_error() -> None:
    x = _rows(4, 500)
    x[:, 1], x[:, 2] = 7.0, np.nan
    found = Detector(trees=5).fit(x).score_samples(np.vstack([x[:5], np.full((1, 6), np.nan)]))
    assert np.isfinite(found).all() and found[-1] < 2
    with pytest.raises(ValueError, match="two rows"):
        Detector().fit(x[:1])


@given(st.integers(1, 12), st.integers(2, 60), st.floats(0.1, 1.0))
def test_components_are_orthonormal_and_their_variances_positive(width: int, rows: int, variance: float) -> None:
    scaled = np.random.default_rng(width * 100 + rows).normal(size=(rows, width))
    kept, variances = components(scaled, variance)
    assert 1 <= len(kept) <= width
    assert np.allclose(kept @ kept.T, np.eye(len(kept)), atol=1e-9)
    assert (variances > 0).all() and (np.diff(variances) <= 1e-12).all()


def test_it_is_an_estimator_like_others() -> None:
    assert clone(Detector(variance=0.8)).get_params()["variance"] == 0.8
    x = _rows(6, 300)
    same = [Detector(trees=5, seed=3).fit(x).score_samples(x) for _ in range(2)]
    assert np.array_equal(*same)
    assert math.isclose(surprise_of(0.001), 3.0)


def test_calibrating_takes_other_rows_for_what_is_normal() -> None:
    rng = np.random.default_rng(8)
    detector = Detector(trees=20).fit(rng.normal(0, 1, (500, 4)))
    wider = rng.normal(0, 2, (500, 4))
    before = detector.score_samples(wider)
    told = detector.calibrate([(detector, wider[:200]), (detector, wider[200:])])
    assert np.array_equal(told, detector.score_samples(wider))
    assert (told <= before).all() and (told > 2).mean() < 0.03 < (before > 2).mean()
