"""The anomaly detector as a scikit-learn estimator: isolation forest, PCA T² and Q, and the largest deviation.

The bundle uses it on features, the scoreboard on raw channels too. It judges rows one by one, `ml.series` levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

from ml.calibration import Sides, Tail, surprise_of
from ml.channels import NAMES, Channels
from ml.trees import Trees


class Detector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Says how strange a row of numbers is, as surprise: −log10 of the share of normal rows that are as strange.

    `variance` is the share that the kept components explain. `standardise` is for inputs that aren't in units of their
    normal spread yet.
    """

    def __init__(
        self,
        variance: float = 0.9,
        trees: int = 100,
        samples: int = 512,
        standardise: bool = True,
        seed: int = 0,
    ) -> None:
        self.variance = variance
        self.trees = trees
        self.samples = samples
        self.standardise = standardise
        self.seed = seed

    def fit(self, x: ArrayLike, y: None = None) -> Detector:
        """Fit on `x` (n, d) of normal operation; NaN is taken for the column's median."""
        self.grow(x)
        self.calibrate([(self, self._filled(x))])
        return self

    def grow(self, x: ArrayLike) -> Detector:
        """What `fit` does, but for how far normal rows go in each channel: `calibrate` learns that of other rows."""
        rows = np.asarray(x, float)
        if rows.ndim != 2 or len(rows) < 2:
            raise ValueError(f"a detector learns from two rows or more of numbers. Got: {rows.shape}")
        self.n_features_in_ = rows.shape[1]
        self.fill_ = np.array([_median(column) for column in rows.T])
        rows = self._filled(rows)
        width = rows.shape[1]
        self.centre_, self.scale_ = np.zeros(width), np.ones(width)
        if self.standardise:
            self.centre_ = np.median(rows, axis=0)
            spread = np.sqrt(((rows - self.centre_) ** 2).mean(axis=0))
            self.scale_ = np.where(spread > 1e-9 * np.maximum(np.abs(self.fill_), 1e-9), spread, 1.0)
        scaled = (rows - self.centre_) / self.scale_
        self.isolation_ = IsolationForest(
            n_estimators=self.trees, max_samples=min(self.samples, len(scaled)), random_state=self.seed
        ).fit(scaled)
        self.components_, self.variances_ = components(scaled, self.variance)
        return self

    def calibrate(self, parts: Sequence[tuple[Detector, NDArray[np.float64]]]) -> NDArray[np.float64]:
        """Learn how far normal rows go in each channel from `parts`: rows (m, d), finite, and the detector that judges
        them. Their surprise, in their order.

        `fit` takes the rows that it has seen, which surprise less than others. Others tell more, each part judged by a
        detector of its kind that was fitted without it.
        """
        self.sides_ = Sides.fit(np.vstack([(rows - one.centre_) / one.scale_ for one, rows in parts]))
        told = [one._channels(self.sides_, {}).raw(rows) for one, rows in parts]
        raw = {name: np.concatenate([values[name] for values in told]) for name in NAMES}
        self.tails_ = {name: Tail.fit(values) for name, values in raw.items()}
        largest = np.max([self.tails_[name](values) for name, values in raw.items()], axis=0)
        self.tails_["unsupervised"] = Tail.fit(largest, decades=True)
        return self.tails_["unsupervised"](largest)

    def _filled(self, x: ArrayLike) -> NDArray[np.float64]:
        rows = np.asarray(x, float)
        return np.where(np.isfinite(rows), rows, self.fill_)

    @property
    def channels_(self) -> Channels:
        """The fitted state as plain arrays, which is what scores."""
        return self._channels(self.sides_, self.tails_)

    def _channels(self, sides: Sides, tails: dict[str, Tail]) -> Channels:
        trees = self.isolation_.estimators_
        lengths = [(_node_depths(t.tree_) + _average_path_length(t.tree_.n_node_samples))[:, None] for t in trees]
        norm = float(_average_path_length(np.array([self.isolation_._max_samples]))[0])
        return Channels(
            self.centre_,
            self.scale_,
            Trees.of(trees, lengths),
            norm,
            self.components_,
            self.variances_,
            sides,
            tails,
        )

    def channels(self, x: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Surprise (n,) by channel: isolation, largest, t2, q."""
        return self.channels_.surprises(self._filled(x))

    def score_samples(self, x: ArrayLike) -> NDArray[np.float64]:
        """Surprise (n,), 0 to 8: higher is stranger, unlike scikit-learn's own detectors."""
        return self.channels_.surprise(self._filled(x))

    def predict(self, x: ArrayLike, false_alarm_rate: float = 0.01) -> NDArray[np.int64]:
        """−1 (n,) where a row is stranger than that share of normal time, in (0, 1), else 1, as scikit-learn has it."""
        return np.where(self.score_samples(x) > surprise_of(false_alarm_rate), -1, 1)


def components(scaled: NDArray[np.float64], variance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Principal components (k, d) of `scaled` (n, d) about 0 that explain `variance` of it, and their variances (k,).

    The covariance is shrunk towards its diagonal by d / (d + n): with few rows small variances are chance, and T²
    would divide by them.
    """
    rows, width = scaled.shape
    covariance = scaled.T @ scaled / rows
    weight = width / (width + rows)
    covariance = (1 - weight) * covariance + weight * np.diag(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 1e-9), vectors[:, ::-1]
    kept = min(int(np.searchsorted(np.cumsum(values) / values.sum(), variance)) + 1, width)
    return np.ascontiguousarray(vectors[:, :kept].T), np.ascontiguousarray(values[:kept])


def _median(column: NDArray[np.float64]) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else 0.0


def _node_depths(tree: Any) -> NDArray[np.float64]:
    """Edges from the root to each node (nodes,)."""
    depth = np.zeros(tree.node_count)
    level, edges = np.zeros(1, np.int64), 0
    while len(level):
        depth[level] = edges
        inner = level[tree.children_left[level] >= 0]
        level, edges = np.concatenate([tree.children_left[inner], tree.children_right[inner]]), edges + 1
    return depth
