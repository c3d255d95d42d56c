"""`equipment_anomaly_detector`: detector, action classifier and failure ahead as one scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.ensemble._iforest import _average_path_length

from ml import confidence, hazard
from ml.ahead import Ahead
from ml.features import FEATURES, MEASUREMENTS, WINDOWS, contract
from ml.horizons import Horizons
from ml.scorecard import (
    CONFIDENCE_GRID,
    CONTINUE,
    NO_PRECEDENT,
    Scorecard,
    Scores,
    classifier_inputs,
    detected,
    detector_scale,
    fill,
)
from ml.tail import Tail
from ml.trees import Trees

# What a saved bundle may hold beyond numpy and plain scikit-learn; loading refuses anything else.
TRUSTED_TYPES = ["ml.bundle.EquipmentAnomalyDetector", "ml.tail.Tail", "sklearn.tree._tree.Tree"]
MIN_MACHINE_ROWS = 300
MIN_CLASS_ROWS = 20
HEATLESS_SIGMAS = 3.0
_HEAT = [FEATURES.index(f"temperature_deviation_{w}m") for w in WINDOWS]


class EquipmentAnomalyDetector(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts action codes; `score_windows` gives score, action, confidence and hours to failure.

    Isolation forest, largest deviation and T² watch for what is unusual; a balanced random forest knows the faults
    that were labelled. Without labels it works on the detector alone and every action is `preventive_inspection`.
    """

    def __init__(self, trees: int = 120, isolation_trees: int = 100, max_depth: int = 12, seed: int = 0) -> None:
        self.trees = trees
        self.isolation_trees = isolation_trees
        self.max_depth = max_depth
        self.seed = seed

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        equipment: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        event: ArrayLike | None = None,
        ahead: Ahead | None = None,
        edges: ArrayLike = (),
    ) -> EquipmentAnomalyDetector:
        """Fit on `x` (n, len(FEATURES)), NaN for missing.

        `y` (n,) are action codes, `continue_operation` for normal operation; None means that all of it is normal.
        `equipment` (n,) names the machines, `event` (n,) the failure that a row belongs to, −1 where none. `ahead` are
        rows of their own with their next failures, whose futures are known up to the last of `edges` (k,) in hours.
        """
        rows = np.asarray(x, float)
        actions = np.full(len(rows), CONTINUE, dtype=object) if y is None else np.asarray(y, dtype=object)
        machines = np.full(len(rows), "", dtype=object) if equipment is None else np.asarray(equipment, dtype=object)
        normal = actions == CONTINUE
        self.contract_ = contract()
        self._fit_detector(rows[normal], machines[normal])
        counts = {str(name): int((actions == name).sum()) for name in np.unique(actions.astype(str))}
        known = sorted(name for name, count in counts.items() if name == CONTINUE or count >= MIN_CLASS_ROWS)
        self.classes_ = np.array(known, dtype=np.str_)
        if len(known) > 1:
            taken = np.isin(actions.astype(str), known)
            weight = None if sample_weight is None else np.asarray(sample_weight, float)[taken]
            group = confidence.groups(machines, None if event is None else np.asarray(event))[taken]
            self._fit_classifier(rows[taken], actions[taken].astype(str), machines[taken], weight, group)
        if ahead is not None:
            self._fit_horizons(ahead, np.asarray(edges, float))
        return self

    def _fit_detector(self, x: NDArray[np.float64], machines: NDArray[Any]) -> None:
        pooled = detector_scale(x)
        self.machines_, scales = [], []
        for name in np.unique(machines.astype(str)):
            own = x[machines == name]
            if name and len(own) >= MIN_MACHINE_ROWS:
                self.machines_.append(str(name))
                scales.append(detector_scale(own))
        self.scales_ = np.vstack([*scales, pooled])
        self.isolation_: Any = None
        self.isolation_norm_ = 1.0
        self.centre_: NDArray[Any] = np.zeros(8)
        self.precision_: NDArray[Any] = np.eye(8)
        self.tails_: dict[str, Tail] = {}
        index = {name: i for i, name in enumerate(self.machines_)}
        scaled = detected(x) / self.scales_[[index.get(str(name), len(index)) for name in machines]]
        self.isolation_ = IsolationForest(
            n_estimators=self.isolation_trees, max_samples=min(512, len(x)), random_state=self.seed
        ).fit(scaled)
        self.isolation_norm_ = float(_average_path_length(np.array([self.isolation_._max_samples]))[0])
        short = scaled[:, :8]
        self.centre_ = np.median(short, axis=0)
        self.precision_ = np.linalg.inv(np.cov(short, rowvar=False) + 0.05 * np.eye(8))
        self.classes_ = np.array([CONTINUE])
        self.classifier_: Any = None
        self.confidence_: NDArray[Any] = CONFIDENCE_GRID
        self.horizon_forest_: Any = None
        self.horizon_edges_: NDArray[Any] = np.empty(0)
        self.horizon_curves_: NDArray[Any] = np.empty((0, 0))
        raw = self._scorecard().channels(x, machines)
        self.tails_ = {name: Tail.fit(values) for name, values in raw.items()}
        self.tails_["unsupervised"] = Tail.fit(self._scorecard().unsupervised(x, machines))

    def _fit_classifier(
        self,
        x: NDArray[np.float64],
        y: NDArray[Any],
        machines: NDArray[Any],
        weight: NDArray[np.float64] | None,
        group: NDArray[np.int64],
    ) -> None:
        early = _before_the_heat(x, y)
        heat = x[early].copy()
        heat[:, _HEAT] *= np.random.default_rng(self.seed).uniform(0, 1, (len(early), 1))
        x, y, machines = (
            np.vstack([x, heat]),
            np.concatenate([y, y[early]]),
            np.concatenate([machines, machines[early]]),
        )
        weight = None if weight is None else np.concatenate([weight, weight[early]])
        group = np.concatenate([group, group[early]])

        def forest(trees: int, seed: int, rows: int, oob: bool) -> Any:
            return RandomForestClassifier(
                n_estimators=trees, max_depth=self.max_depth, min_samples_leaf=5, max_samples=min(rows, 40_000),
                class_weight="balanced_subsample", oob_score=oob, n_jobs=2, random_state=seed,
            )  # fmt: skip

        seen = classifier_inputs(x)
        self.classifier_ = forest(self.trees, self.seed, len(x), True).fit(seen, y, sample_weight=weight)
        smaller, half = max(self.trees // 4, 10), len(x) // 2
        self.confidence_ = confidence.curve(
            lambda seed: forest(smaller, seed, half, False), self.classifier_, seen, y, group, weight, self.seed
        )
        normal = y == CONTINUE
        # Out of bag, or the forest would judge rows that it has seen.
        held = 1.0 - self.classifier_.oob_decision_function_[:, list(self.classifier_.classes_).index(CONTINUE)]
        known_fault = np.nan_to_num(held[normal], nan=0.0)
        self.tails_["supervised"] = Tail.fit(known_fault)
        card = self._scorecard()
        own = self.tails_["unsupervised"](card.unsupervised(x[normal], machines[normal]))
        self.tails_["combined"] = Tail.fit(card.evidence(known_fault, own))

    def _fit_horizons(self, ahead: Ahead, edges: NDArray[np.float64]) -> None:
        fitted = hazard.fit(ahead, edges, seed=self.seed)
        if fitted is not None:
            self.horizon_forest_, self.horizon_edges_ = fitted.forest, fitted.edges
            self.horizon_curves_ = fitted.curves

    def _scorecard(self) -> Scorecard:
        forest = self.isolation_
        lengths = []
        for tree in forest.estimators_:
            depth = _node_depths(tree.tree_)
            lengths.append((depth + _average_path_length(tree.tree_.n_node_samples))[:, None])
        classifier: Trees | None = None
        if self.classifier_ is not None:
            values = [tree.tree_.value[:, 0, :] for tree in self.classifier_.estimators_]
            classifier = Trees.of(self.classifier_.estimators_, [v / v.sum(axis=1, keepdims=True) for v in values])
        horizons: Horizons | None = None
        if self.horizon_forest_ is not None:
            fitted = hazard.Hazard(self.horizon_forest_, self.horizon_edges_, self.horizon_curves_)
            horizons = hazard.horizons(fitted)
        return Scorecard(
            contract=self.contract_, machines=tuple(self.machines_), scales=self.scales_,
            isolation=Trees.of(forest.estimators_, lengths), isolation_norm=self.isolation_norm_,
            centre=self.centre_, precision=self.precision_, tails=self.tails_,
            classes=tuple(str(name) for name in self.classes_), classifier=classifier,
            confidence=self.confidence_, horizons=horizons,
        )  # fmt: skip

    @property
    def scorecard(self) -> Scorecard:
        """The fitted state as plain arrays, which is what scores."""
        return self._scorecard()

    def score_windows(self, x: ArrayLike, equipment: ArrayLike | None = None) -> Scores:
        """Score `x` (n, len(FEATURES)); see `Scorecard.score`."""
        machines = None if equipment is None else np.asarray(equipment, dtype=object)
        return self.scorecard.score(np.asarray(x, float), machines)

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Action codes (n,)."""
        return self.score_windows(x).action.astype(np.str_)

    def predict_proba(self, x: ArrayLike) -> NDArray[np.float64]:
        """P(action) (n, len(classes_))."""
        return self.scorecard.probabilities(np.asarray(x, float))


def _before_the_heat(x: NDArray[np.float64], y: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of a failing machine that shows more than heat; with less heat they are the same fault, grown faster.

    Heat lags by tens of minutes. History's faults grow over hours and have it; one that grows within minutes shows
    vibration alone, which only a drifting sensor did in history.
    """
    other = np.delete(np.abs(fill(x)[:, :8]), MEASUREMENTS.index("temperature"), axis=1).max(axis=1)
    return np.flatnonzero((y != CONTINUE) & (y != NO_PRECEDENT) & (other > HEATLESS_SIGMAS))


def _node_depths(tree: Any) -> NDArray[np.float64]:
    """Edges from the root to each node (nodes,); children always come after their parent."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth
