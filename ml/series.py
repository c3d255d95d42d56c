"""A detector for channels as they are read, row after row: has a level moved further than levels move here?

One second of a sensor is mostly noise, and a plant's levels wander by themselves. So the recent mean of a channel is
held against what it was a tenth of the training time ago, in units of how far such means were apart in training, and a
value that training knew is no news wherever it came from. A channel that went up and down once while it was watched has
told next to nothing about how far it goes: distances are judged by Student's t with the independent looks that training
was worth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator, OutlierMixin

from ml.bootstrap import effective
from ml.calibration import CEILING, surprise_of

# How far back a level is looked for: ten such stretches in training say how far levels move in one.
_STRETCHES = 10
# From this share of normal time on a level counts as moved: what it was before is kept to hold it against.
_MOVED = 0.0025
# A value within all but this share of the training's means is at home, wherever it came from.
_NOT_AT_HOME = 0.13
# A level that is back by three quarters of its way has come back: what is left is where it stays now.
_BACK = 0.25
# Rows of a mean that has no past yet, in half-lives.
_START = 4
Floats = NDArray[np.float64]


class LevelDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Says how strange the levels of a row are, as surprise: −log10 of the share of normal time that is as strange.

    Rows are a series in order of time, evenly spaced, and what is scored follows what was fitted. `half_life` (rows) is
    that of the exponentially weighted mean which is taken for the level.
    """

    def __init__(self, half_life: float = 5.0) -> None:
        self.half_life = half_life

    def fit(self, x: ArrayLike, y: None = None) -> LevelDetector:
        """Fit on `x` (n, c) of normal operation, finite, at least 20 rows; raises ValueError otherwise."""
        rows = _finite(x)
        if len(rows) < 2 * _STRETCHES:
            raise ValueError(f"levels are learnt from {2 * _STRETCHES} rows or more. Got: {len(rows)}")
        self.n_features_in_ = rows.shape[1]
        self.lag_ = len(rows) // _STRETCHES
        self.past_ = past = _recent(rows, rows[: max(1, int(_START * self.half_life))].mean(axis=0), self.half_life)
        # A channel that never moved has no spread; any move of it is one.
        tiny = 1e-12 * np.maximum(rows.var(axis=0), np.maximum(np.abs(rows).max(axis=0) ** 2, 1e-300))
        apart, twice = past[self.lag_ :] - past[: -self.lag_], past[2 * self.lag_ :] - past[: -2 * self.lag_]
        self.variance_ = np.maximum((apart**2).mean(axis=0), tiny)
        # Doubling the time makes noise no wider, doubles a random walk's variance, and a trend's fourfold.
        self.growth_ = np.clip(np.log2(np.maximum((twice**2).mean(axis=0), tiny) / self.variance_), 0.0, 2.0)
        self.looks_ = np.array([effective(channel) for channel in apart.T])
        self.home_ = past.mean(axis=0)
        at_home = np.array([effective(channel) for channel in past.T])
        self.home_looks_ = np.maximum(at_home - 1.0, 1.0)
        # A new mean's distance from the mean of so many (a prediction interval).
        self.home_spread_ = np.sqrt(np.maximum(past.var(axis=0, ddof=1), tiny) * (1.0 + 1.0 / at_home))
        return self

    def channels(self, x: ArrayLike) -> Floats:
        """Surprise (n, c) of each channel of `x` (n, c), by itself; raises ValueError where one isn't finite."""
        rows = _finite(x)
        recent = _recent(rows, self.past_[-1], self.half_life)
        home = _surprise((recent - self.home_) / self.home_spread_, self.home_looks_)
        away = home > surprise_of(_NOT_AT_HOME)
        moved = _surprise(self._moves(recent, away), self.looks_)
        return np.where(away, moved, np.minimum(moved, home))

    def _moves(self, recent: Floats, away: NDArray[np.bool_]) -> Floats:
        """How far each of `recent` (n, c) is from its reference, in spreads.

        The reference is the level one lag ago; once a level has moved and is `away` (n, c) from home, the one from
        before, until it is back.
        """
        levels, begun = np.vstack([self.past_, recent]), len(self.past_)
        columns = np.arange(recent.shape[1])
        limit = -stdtrit(self.looks_, _MOVED / 2)
        kept = np.full(len(columns), -1)  # the row of the reference of a level that has moved
        settled = np.zeros(len(columns), np.int64)  # the first row that may be a reference again
        farthest = np.zeros(len(columns))
        moves = np.empty_like(recent)
        for row in range(len(recent)):
            now = begun + row
            reference = np.where(kept >= 0, kept, np.minimum(np.maximum(now - self.lag_, settled), now))
            distance = np.abs(recent[row] - levels[reference, columns])
            lags = np.maximum((now - reference) / self.lag_, 1.0)
            moves[row] = distance / np.sqrt(self.variance_ * lags**self.growth_)
            farthest = np.where(kept >= 0, np.maximum(farthest, distance), distance)
            back = (kept >= 0) & (distance < _BACK * farthest)
            moves[row, back] = 0.0
            settled = np.where(back, now + self.lag_, settled)
            kept = np.where((moves[row] > limit) & away[row], reference, -1)
        return moves

    def score_samples(self, x: ArrayLike) -> Floats:
        """Surprise (n,) of the most surprising channel, corrected for there being so many (Bonferroni); 0 to 8."""
        most = self.channels(x).max(axis=1) - math.log10(self.n_features_in_)
        return np.asarray(np.clip(most, 0.0, CEILING))

    def predict(self, x: ArrayLike, false_alarm_rate: float = 0.01) -> NDArray[np.int64]:
        """−1 (n,) where a row is stranger than that share of normal time, in (0, 1), else 1, as scikit-learn has it."""
        return np.where(self.score_samples(x) > surprise_of(false_alarm_rate), -1, 1)


def _finite(x: ArrayLike) -> Floats:
    """`x` as rows: what isn't a number would stay in the recent mean for ever, and nothing be strange again."""
    rows = np.asarray(x, float)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(
            f"channels must be finite rows of numbers. Got: {rows.shape}, {(~np.isfinite(rows)).sum()} not"
        )
    return rows


def _surprise(moves: Floats, looks: Floats) -> Floats:
    """−log10 of the two-sided tail of Student's t beyond `moves` (n, c) with `looks` (c,) degrees of freedom."""
    return np.asarray(-np.log10(np.maximum(2.0 * stdtr(looks, -np.abs(moves)), 1e-300)))


def _recent(x: Floats, start: Floats, half_life: float) -> Floats:
    """The exponentially weighted mean of `x` (n, c) at each row, `start` (c,) before the first."""
    decay = 0.5 ** (1.0 / half_life)
    recent, last = np.empty_like(x), np.asarray(start, float)
    for row, value in enumerate(x):
        last = decay * last + (1.0 - decay) * value
        recent[row] = last
    return recent
