"""Levels of raw channels: what moved further than levels move here, and what wanders by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone

from ml.series import LevelDetector

TRAINING = 400
RATE = 0.001


def _noise(rows: int = 1400, channels: int = 3, seed: int = 5) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(rows, channels))


def _raised(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    return LevelDetector().fit(x[:TRAINING]).predict(x[TRAINING:], RATE) < 0


def test_a_shift_that_single_rows_hide_in_noise_is_seen_for_as_long_as_it_lasts() -> None:
    x = _noise()
    x[900:1200, 0] += 3.0
    raised = _raised(x)
    assert raised[:500].mean() < 0.02
    assert raised[510:800].mean() > 0.9
    assert raised[830:].mean() < 0.05


def test_a_level_that_goes_on_as_it_went_in_training_is_no_news() -> None:
    x = _noise()
    x[:, 2] += np.arange(len(x)) * 0.01
    assert _raised(x).mean() < 0.02


def test_a_channel_that_wandered_once_in_training_says_little_of_how_far_it_goes() -> None:
    """Half a swing of a slow wave was seen; the next one goes twice as far, and a level that stood would be raised."""
    x = _noise()
    slow = np.sin(np.arange(len(x)) * np.pi / TRAINING)
    x[:, 1] = np.where(np.arange(len(x)) < TRAINING, slow, 2 * slow) + 0.01 * x[:, 1]
    assert _raised(x).mean() < 0.02
    x[:TRAINING, 1] = 0.01 * _noise(TRAINING, 1)[:, 0]
    assert _raised(x)[50:350].mean() > 0.9


def test_where_a_level_stays_after_coming_back_is_its_new_one() -> None:
    x = _noise()
    x[800:1000, 0] += 8.0
    x[1000:, 0] += 0.8
    raised = _raised(x)
    assert raised[410:600].all()
    assert raised[660:].mean() < 0.05


@settings(max_examples=20)
@given(st.integers(0, 50), st.integers(1, 300))
def test_what_comes_later_changes_nothing_and_units_don_t_matter(seed: int, cut: int) -> None:
    x = _noise(700, 2, seed)
    fitted = LevelDetector(half_life=4.0).fit(x[:TRAINING])
    found = fitted.score_samples(x[TRAINING:])
    assert np.array_equal(found[:cut], fitted.score_samples(x[TRAINING : TRAINING + cut]))
    scaled = x * [1000.0, 0.01] + [5e4, -3.0]
    again = LevelDetector(half_life=4.0).fit(scaled[:TRAINING]).score_samples(scaled[TRAINING:])
    assert np.allclose(found, again, atol=1e-4)


def test_any_move_of_a_channel_that_never_moved_is_one() -> None:
    x = _noise()
    x[:, 1] = 7.0
    assert _raised(x).mean() < 0.02
    x[1000:, 1] = 7.1
    assert _raised(x)[620:640].all()


def test_it_is_an_estimator_that_says_what_it_needs() -> None:
    assert clone(LevelDetector(half_life=3)).get_params() == {"half_life": 3}
    with pytest.raises(ValueError, match="20 rows or more"):
        LevelDetector().fit(_noise(19))
    with pytest.raises(ValueError, match="must be finite rows"):
        LevelDetector().fit(_noise(400)).score_samples(np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match="between 0 and 1"):
        LevelDetector().fit(_noise(400)).predict(_noise(10), 1.0)
