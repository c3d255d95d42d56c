"""`equipment_anomaly_detector`: detector, action classifier and failure ahead as one scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier

from ml import confidence, hazard
from ml.ahead import Ahead
from ml.calibration import CEILING, Bands, Tail, bands, episode_minutes, own_surprise, own_tails, pooled_tails
from ml.detector import Detector
from ml.features import FEATURES, MEASUREMENTS, WINDOWS, contract
from ml.horizons import Horizons
from ml.labels import HOUR
from ml.policy import BANDS_WEEKLY, COMMISSIONING_WINDOWS
from ml.reliability import FOLDS
from ml.scorecard import (
    CONFIDENCE_GRID,
    CONTINUE,
    NO_PRECEDENT,
    TRUSTED_DECADES,
    Scorecard,
    Scores,
    classifier_inputs,
    detected,
    detector_scale,
    fill,
    in_spreads,
    places,
)
from ml.trees import Trees

# What a saved bundle may hold beyond numpy and plain scikit-learn; loading refuses anything else.
TRUSTED_TYPES = [
    "ml.bundle.EquipmentAnomalyDetector",
    "ml.calibration.Bands",
    "ml.calibration.Sides",
    "ml.calibration.Tail",
    "ml.detector.Detector",
    "sklearn.tree._tree.Tree",
]
MIN_CLASS_ROWS = 20
HEATLESS_SIGMAS = 3.0
_FOLD_BLOCK = 7 * 24 * HOUR
_HEAT = [FEATURES.index(f"temperature_deviation_{w}m") for w in WINDOWS]


class EquipmentAnomalyDetector(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts action codes; `score_windows` gives score, action, confidence and hours to failure.

    Isolation forest, T², Q and largest deviation watch for what is unusual; a balanced random forest knows the faults
    that were labelled. Without labels it works on the detector alone and every action is `preventive_inspection`.

    `weekly` (3,) are the false-alarm episodes a machine-week that a score of 0.5, 0.7 and 0.9 stands for. A machine
    counts by its own spread once it has `commissioning_windows` rows of normal operation.
    """

    def __init__(
        self,
        trees: int = 120,
        isolation_trees: int = 100,
        max_depth: int = 12,
        seed: int = 0,
        min_samples_leaf: int = 5,
        isolation_samples: int = 512,
        weekly: tuple[float, float, float] = BANDS_WEEKLY,
        commissioning_windows: int = COMMISSIONING_WINDOWS,
    ) -> None:
        self.trees = trees
        self.isolation_trees = isolation_trees
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.isolation_samples = isolation_samples
        self.seed = seed
        self.weekly = weekly
        self.commissioning_windows = commissioning_windows

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        equipment: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        ends: ArrayLike | None = None,
        step: float = 1.0,
        event: ArrayLike | None = None,
        asked: ArrayLike | None = None,
        ahead: Ahead | None = None,
        edges: ArrayLike = (),
    ) -> EquipmentAnomalyDetector:
        """Fit on `x` (n, len(FEATURES)), NaN for missing.

        `y` (n,) are action codes, `continue_operation` for normal operation; None means that all of it is normal.
        `equipment` (n,) names the machines, `event` (n,) the failure that a row belongs to, −1 where none. `ends` (n,)
        are the windows' ends in microseconds, from which the length of false episodes is learnt; normal rows stand for
        `step` minutes each, but for those that are there because an answer was `asked` for (n,), from which no rate is
        learnt. `ahead` are rows of their own with their next failures, whose futures are known up to the
        last of `edges` (k,) in hours.
        """
        rows = np.asarray(x, float)
        actions = np.full(len(rows), CONTINUE, dtype=object) if y is None else np.asarray(y, dtype=object)
        machines = np.full(len(rows), "", dtype=object) if equipment is None else np.asarray(equipment, dtype=object)
        normal = actions == CONTINUE
        self.contract_ = contract()
        known_ends = None if ends is None else np.asarray(ends, np.int64)
        fold = time_folds(known_ends, normal)
        own = self._fit_detector(rows[normal], machines[normal], fold[normal])
        known_fault: NDArray[np.float64] | None = None
        # Every fault that grows begins in windows that show nothing, as most of normal operation does. A forest of
        # balanced classes that learnt from those would say of any quiet machine that it has that fault, or about half.
        shown = normal | classifier_inputs(rows).any(axis=1)
        counts = {str(name): int((shown & (actions == name)).sum()) for name in np.unique(actions.astype(str))}
        known = sorted(name for name, count in counts.items() if name == CONTINUE or count >= MIN_CLASS_ROWS)
        self.classes_ = np.array(known, dtype=np.str_)
        if len(known) > 1:
            taken = shown & np.isin(actions.astype(str), known)
            weight = None if sample_weight is None else np.asarray(sample_weight, float)[taken]
            events = None if event is None else np.asarray(event)
            if events is not None:
                weight = _alike(events[taken], weight)
            group = confidence.groups(machines, events)[taken]
            known_fault = self._fit_classifier(
                rows[taken], actions[taken].astype(str), machines[taken], weight, group, fold[taken]
            )
        if ahead is not None:
            self._fit_horizons(ahead, np.asarray(edges, float))
        drawn = np.ones(int(normal.sum()), bool) if asked is None else ~np.asarray(asked, bool)[normal]
        times = None if known_ends is None else known_ends[normal][drawn]
        if known_fault is not None:
            known_fault = known_fault[drawn]
        self._fit_bands(known_fault, own[drawn], machines[normal][drawn], times, step)
        return self

    def _fit_detector(
        self, x: NDArray[np.float64], machines: NDArray[Any], fold: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Fit on normal `x` (n, features); the surprise (n,) of them as of detectors and tails of their machines' that
        haven't seen their `fold`."""
        self.machines_, self.scales_, self.detector_ = self._detector(x, machines)
        parts, order = [], []
        for number in np.unique(fold):
            own, other = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            names, scales, grown = self.machines_, self.scales_, self.detector_
            if len(other):
                names, scales, grown = self._detector(x[other], machines[other])
            parts.append((grown, _in_own_spreads(x[own], machines[own], names, scales)))
            order.append(own)
        pooled = np.empty(len(x))
        pooled[np.concatenate(order)] = self.detector_.calibrate(parts)
        surprise = self._own(pooled, places(self.machines_, machines, len(x)), fold)
        self.classes_ = np.array([CONTINUE])
        self.classifier_: Any = None
        self.confidence_: NDArray[Any] = CONFIDENCE_GRID
        self.horizon_forest_: Any = None
        self.horizon_edges_: NDArray[Any] = np.empty(0)
        self.horizon_curves_: NDArray[Any] = np.empty((0, 0))
        self.tails_: dict[str, Tail] = {}
        self.bands_: Bands = bands(tuple(self.weekly), 1.0, CEILING)
        return surprise

    def _own(
        self, pooled: NDArray[np.float64], rows: NDArray[np.int64], fold: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Learn each machine's own tail from the surprise `pooled` (n,) of machines `rows` (n,): that of them (n,)."""
        count = len(self.machines_)

        def tails(some: NDArray[np.bool_]) -> NDArray[np.float64]:
            return own_tails(pooled[some], rows[some], count, self.commissioning_windows)

        self.own_, surprise, known = tails(np.ones(len(pooled), bool)), pooled.copy(), rows < count
        if known.any():
            for number in np.unique(fold):
                own = fold == number
                surprise[own] = own_surprise(tails(~own if not own.all() else own), rows[own], pooled[own])
            # A tail of few rows isn't quite that of the rows that it hasn't met.
            together = Tail.fit(surprise[known], decades=True)
            self.own_[:count], surprise[known] = together(self.own_[:count]), together(surprise[known])
        return surprise

    def _detector(
        self, x: NDArray[np.float64], machines: NDArray[Any]
    ) -> tuple[list[str], NDArray[np.float64], Detector]:
        """Of normal `x` (n, features): machines with a spread of their own, the spreads, and the detector in them, not
        calibrated."""
        pooled = detector_scale(x)
        names, scales = [], []
        for name in np.unique(machines.astype(str)):
            own = x[machines == name]
            if name and len(own) >= self.commissioning_windows:
                # A few hundred rows say little about a 99.9th percentile: they count as much as what all machines say.
                share = len(own) / (len(own) + self.commissioning_windows)
                names.append(str(name))
                scales.append(detector_scale(own) ** share * pooled ** (1 - share))
        spreads = np.stack([*scales, pooled])
        detector = Detector(
            trees=self.isolation_trees, samples=self.isolation_samples, standardise=False, seed=self.seed
        )
        return names, spreads, detector.grow(_in_own_spreads(x, machines, names, spreads))

    def _fit_bands(
        self,
        known_fault: NDArray[np.float64] | None,
        own: NDArray[np.float64],
        machines: NDArray[Any],
        ends: NDArray[np.int64] | None,
        step: float,
    ) -> None:
        """From P(known fault) and the detector's surprise of normal rows (n,), the former as of rows not seen."""
        surprise = own
        if known_fault is not None:
            self.tails_["supervised"] = Tail.fit(known_fault, least=1 / self.trees)  # what a single tree has to say
            evidence = self._scorecard().evidence(known_fault, own)
            self.tails_["combined"] = Tail.fit(evidence, decades=True)
            surprise = self.tails_["combined"](evidence)
        # Where no times are known: a reading is in so many short windows.
        minutes = float(WINDOWS[0]) if ends is None else episode_minutes(machines, ends, surprise, step)
        # With few rows that percentile is one strange row, of which the detector alone is not believed all.
        believed = self.detector_.tails_["unsupervised"].surprise[-1] + TRUSTED_DECADES
        self.bands_ = bands(tuple(self.weekly), minutes, min(float(np.quantile(own, 0.9999)), believed))

    def _fit_classifier(
        self,
        x: NDArray[np.float64],
        y: NDArray[Any],
        machines: NDArray[Any],
        weight: NDArray[np.float64] | None,
        group: NDArray[np.int64],
        fold: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """P(known fault) of the normal rows, the higher of out of bag and of forests that haven't seen their `fold`."""
        known, count = y == CONTINUE, len(x)
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
            # Of a few of the inputs, of which most are 0 in most windows, a tree often finds none to split by: it would
            # stop, and say of quiet windows what the classes' balance says. In one thread: of two, one may meet the
            # other's half-made list of warnings, and scikit-learn then warns where that ends a fit.
            return RandomForestClassifier(
                n_estimators=trees, max_features=0.5, max_depth=self.max_depth, min_samples_leaf=self.min_samples_leaf,
                max_samples=min(rows, 40_000), class_weight="balanced_subsample", oob_score=oob,
                random_state=seed,
            )  # fmt: skip

        seen = classifier_inputs(x)
        with warnings.catch_warnings():
            # Of a row that weighs so much that every tree was grown on it: it counts nowhere below, or by its fold.
            warnings.filterwarnings("ignore", "Some inputs do not have OOB scores", UserWarning)
            self.classifier_ = forest(self.trees, self.seed, len(x), True).fit(seen, y, sample_weight=weight)
        smaller, half = max(self.trees // 4, 10), len(x) // 2
        self.confidence_ = confidence.curve(
            lambda seed: forest(smaller, seed, half, False), self.classifier_, seen, y, group, weight, self.seed
        )
        held = 1.0 - self.classifier_.oob_decision_function_[:, list(self.classifier_.classes_).index(CONTINUE)]
        held = np.nan_to_num(held, nan=0.0)
        if len(numbers := np.unique(fold[known])) > 1:
            # What was put beside them shows faults, which are in no fold.
            fold = np.concatenate([np.where(known, fold, -1), np.full(len(x) - count, -1)])
            for number in numbers:
                own, other = fold == number, fold != number
                grown = forest(self.trees // 2, self.seed + 1 + int(number), int(other.sum()), False)
                grown.fit(seen[other], y[other], sample_weight=None if weight is None else weight[other])
                told = 1.0 - grown.predict_proba(seen[own])[:, list(grown.classes_).index(CONTINUE)]
                # No two forests have the same floor, which is all that tells normal rows apart where faults are far.
                held[own] = np.maximum(held[own], told)
        return np.asarray(held[y == CONTINUE])

    def _fit_horizons(self, ahead: Ahead, edges: NDArray[np.float64]) -> None:
        fitted = hazard.fit(ahead, edges, seed=self.seed)
        if fitted is not None:
            self.horizon_forest_, self.horizon_edges_ = fitted.forest, fitted.edges
            self.horizon_curves_ = fitted.curves

    def _scorecard(self) -> Scorecard:
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
            detector=self.detector_.channels_,
            # A bundle from before machines had tails of their own has all machines'.
            own=getattr(self, "own_", pooled_tails(len(self.machines_))), tails=self.tails_, bands=self.bands_,
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


def time_folds(ends: NDArray[np.int64] | None, normal: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A fold (n,) by weeks (or a third of a shorter past), which take turns; all 0 where no times are known.

    Where most of the `normal` rows would be in one, what is left knows too little of them: they are cut into thirds.
    """
    if ends is None or not normal.any():
        return np.zeros(len(normal), np.int64)
    known = ends[normal]
    length = min(_FOLD_BLOCK, int(np.ptp(known)) // FOLDS + 1)
    fold = np.asarray((ends - known.min()) // length % FOLDS)
    if np.bincount(fold[normal]).max() > len(known) / 2:
        fold = np.searchsorted(np.quantile(known, np.arange(1, FOLDS) / FOLDS), ends)
    return fold


def _alike(event: NDArray[np.int64], weight: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """`weight` (n,), 1 where None, with that of the rows before an event divided by how many they are, their mean kept.

    They say much the same: a fault that took days is no better evidence than one that took an hour.
    """
    even = np.ones(len(event)) if weight is None else weight.copy()
    of = event >= 0
    if of.any():
        _, inverse, count = np.unique(event[of], return_inverse=True, return_counts=True)
        even[of] *= count.mean() / count[inverse]
    return even


def _in_own_spreads(
    x: NDArray[np.float64], machines: NDArray[Any], names: list[str], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    return in_spreads(detected(x), scales[places(names, machines, len(x))])


def _before_the_heat(x: NDArray[np.float64], y: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of a failing machine that shows more than heat; with less heat they are the same fault, grown faster.

    Heat lags by tens of minutes. History's faults grow over hours and have it; one that grows within minutes shows
    vibration alone, which only a drifting sensor did in history.
    """
    other = np.delete(np.abs(fill(x)[:, :8]), MEASUREMENTS.index("temperature"), axis=1).max(axis=1)
    return np.flatnonzero((y != CONTINUE) & (y != NO_PRECEDENT) & (other > HEATLESS_SIGMAS))
