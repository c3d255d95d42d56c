"""How far probabilities can be believed: curves that make them so, and the figures that say whether they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10
# Tails and probabilities are calibrated on rows that the model asked hasn't learnt from: so many parts take turns.
FOLDS = 3


def brier(probability: NDArray[np.float64], outcome: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    """Mean squared error of `probability` (n,) against what came; lower is better, base × (1 − base) knows nothing."""
    return float(np.average((probability - outcome) ** 2, weights=weight)) if weight.sum() > 0 else float("nan")


def reliability(
    probability: NDArray[np.float64], outcome: NDArray[np.bool_], weight: NDArray[np.float64], bins: int = BINS
) -> list[tuple[float, float, float]]:
    """(mean probability, share that came true, weight) a bin of equal width that holds any."""
    index = np.minimum((probability * bins).astype(int), bins - 1)
    rows = []
    for number in range(bins):
        own = index == number
        total = float(weight[own].sum())
        if total > 0:
            said, came = (
                np.average(probability[own], weights=weight[own]),
                np.average(outcome[own], weights=weight[own]),
            )
            rows.append((float(said), float(came), total))
    return rows


def expected_calibration_error(
    probability: NDArray[np.float64], outcome: NDArray[np.bool_], weight: NDArray[np.float64], bins: int = BINS
) -> float:
    """Mean distance between what was said and what came, over the bins of `reliability` by their weight."""
    rows = reliability(probability, outcome, weight, bins)
    total = sum(row[2] for row in rows)
    return sum(abs(said - came) * own for said, came, own in rows) / total if total else float("nan")


def average_precision(score: NDArray[np.float64], outcome: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    """Area under precision over recall as the sum of precision × step in recall; ties count as one threshold."""
    positive = float(weight[outcome].sum())
    if positive <= 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum((weight * outcome)[order])
    taken = np.cumsum(weight[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
    recall = hits[last] / positive
    return float(np.sum(np.diff(recall, prepend=0.0) * hits[last] / taken[last]))


def curve(
    raw: NDArray[np.float64],
    outcome: NDArray[np.bool_],
    weight: NDArray[np.float64],
    grid: NDArray[np.float64],
    group: NDArray[np.int64],
) -> NDArray[np.float64]:
    """A calibration curve over `grid` (m,), rising from `raw` (n,) that was predicted without the rows themselves.

    Isotonic regression through the centres of its steps (Oron and Flournoy 2017), so that it has no steps. Rows of one
    `group` (n,) say much the same: a step is drawn to the share of all by the weight of one group, so that hundreds of
    rows before a single failure make nothing certain. A slope of a millionth keeps the order where it is flat. Imports
    scikit-learn: for training only.
    """
    from sklearn.isotonic import isotonic_regression

    values, index = np.unique(raw, return_inverse=True)
    total = np.bincount(index, weight)
    fitted = isotonic_regression(np.bincount(index, weight * outcome) / total, sample_weight=total, y_min=0, y_max=1)
    steps, step = np.unique(fitted, return_inverse=True)
    mass = np.bincount(step, total)
    centre = np.bincount(step, total * values) / mass
    pairs = np.unique(np.column_stack([step[index], group]), axis=0)
    groups = np.bincount(pairs[:, 0].astype(np.int64))
    shrunk = np.maximum.accumulate((steps * groups + np.average(outcome, weights=weight)) / (groups + 1))
    return np.asarray(np.interp(grid, centre, shrunk) * (1 - 1e-6) + 1e-6 * grid)
