"""Fitting `ml.horizons`: one forest over classes of time to failure, calibrated on failures that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from ml import reliability
from ml.ahead import Ahead
from ml.bootstrap import blocks
from ml.horizons import GRID, Horizons, inputs
from ml.labels import HOUR
from ml.trees import Trees

# With fewer failures or rows before them there is nothing to learn a distribution from.
MIN_FAILURES = 3
MIN_ROWS = 60
# Most rows a side (before a failure, or not) that a forest is grown on; the rest is thinned and weighs more.
MOST_ROWS = 15_000
_BLOCK = 28 * 24 * HOUR


@dataclass(frozen=True)
class Hazard:
    """What was fitted: `forest` answers class shares, `edges` (k,) bound the classes, `curves` are (k, len(GRID))."""

    forest: Any
    edges: NDArray[np.float64]
    curves: NDArray[np.float64]


def fit(rows: Ahead, edges: NDArray[np.float64], trees: int = 50, seed: int = 0) -> Hazard | None:
    """Fit on `rows`, all of whose futures are known up to the last of `edges`; None where there is too little.

    Each row weighs the windows that it stands for, so shares come out at the base rate. Calibration takes what forests
    said of failures (all rows before one of them) that they were not grown on: rows a minute apart are the same event,
    and out of bag they would be met again.
    """
    random = np.random.default_rng(seed)
    if not len(edges):
        return None
    near = rows.hours <= edges[-1]
    if near.sum() < MIN_ROWS or len(np.unique(rows.event[near])) < MIN_FAILURES:
        return None
    rows = _thinned(rows, near, random)
    x, classes = inputs(rows.windows.x), np.searchsorted(edges, rows.hours)
    fold = _folds(rows, edges[-1], random)
    held = np.zeros((len(rows), len(edges)))
    for number in range(fold.max() + 1):
        other, own = fold != number, fold == number
        grown = _forest(max(trees // 2, 10), seed + 1 + number).fit(x[other], classes[other], rows.weight[other])
        held[own] = shares(grown, grown.predict_proba(x[own]), len(edges))
    group = _groups(rows, edges[-1])
    curves = [
        reliability.curve(held[:, k], rows.hours <= edge, rows.weight, GRID, group) for k, edge in enumerate(edges)
    ]
    forest = _forest(trees, seed).fit(x, classes, rows.weight)
    return Hazard(forest, edges, np.array(curves))


def horizons(hazard: Hazard) -> Horizons:
    """The fitted state as plain arrays."""
    count = len(hazard.edges)
    leaves = []
    for tree in hazard.forest.estimators_:
        value = tree.tree_.value[:, 0, :]
        leaves.append(shares(hazard.forest, value / value.sum(axis=1, keepdims=True), count))
    return Horizons(hazard.edges, Trees.of(hazard.forest.estimators_, leaves), hazard.curves)


def shares(forest: Any, probability: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Cumulative shares (n, count) from class probabilities (n, classes that the forest met)."""
    all_classes = np.zeros((len(probability), count + 1))
    all_classes[:, forest.classes_.astype(int)] = probability
    return np.asarray(np.minimum(np.cumsum(all_classes, axis=1)[:, :count], 1.0))


def _forest(trees: int, seed: int) -> Any:
    return RandomForestClassifier(
        n_estimators=trees, max_depth=12, max_leaf_nodes=400, min_samples_leaf=10, max_features=0.4,
        random_state=seed,
    )  # fmt: skip


def _thinned(rows: Ahead, near: NDArray[np.bool_], random: np.random.Generator) -> Ahead:
    kept, weight = [], rows.weight.copy()
    for side in (np.flatnonzero(near), np.flatnonzero(~near)):
        taken = side if len(side) <= MOST_ROWS else np.sort(random.choice(side, MOST_ROWS, replace=False))
        weight[taken] *= weight[side].sum() / max(weight[taken].sum(), 1e-12)
        kept.append(taken)
    chosen = np.sort(np.concatenate(kept))
    part = rows.take(chosen)
    return Ahead(part.windows, part.hours, part.clear, part.event, weight[chosen])


def _groups(rows: Ahead, last: float) -> NDArray[np.int64]:
    """What each row (n,) is evidence of: a failure, or a machine-day where none is near."""
    day = blocks(rows.windows.equipment, rows.windows.ends)
    return np.where(rows.hours <= last, day.max() + 1 + rows.event, day)


def _folds(rows: Ahead, last: float, random: np.random.Generator) -> NDArray[np.int64]:
    """A fold (n,) by failure, and by machine and four weeks (or a third of a shorter past) where none is near."""
    near = rows.hours <= last
    # In a single block all of what is normal would be held out at once, and what was grown without it knows nothing.
    length = min(_BLOCK, int(np.ptp(rows.windows.ends)) // reliability.FOLDS + 1)
    blocks = np.char.add(rows.windows.equipment.astype(np.str_), (rows.windows.ends // length).astype(np.str_))
    fold = np.zeros(len(rows), np.int64)
    count = min(reliability.FOLDS, len(np.unique(rows.event[near])))
    for side, group in ((near, rows.event[near]), (~near, blocks[~near])):
        names, index = np.unique(group, return_inverse=True)
        fold[side] = (random.permutation(len(names)) % count)[index]
    return fold
