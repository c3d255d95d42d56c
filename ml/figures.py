"""Pictures of how a version did on its held-out time. Normal rows count as the minutes that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from ml.evaluation import ALERT_THRESHOLD
from ml.features import FEATURES, MEASUREMENTS
from ml.labels import Labelled
from ml.scorecard import CONTINUE, Scorecard, Scores

# Permuting a sensor costs as much as scoring the rows again, a score of sensors and kinds of features each.
IMPORTANCE_ROWS = 1000
BINS = 10


def draw(card: Scorecard, held_out: Labelled, scores: Scores, step: int, seed: int, folder: Path) -> list[Path]:
    """Write the pictures of `held_out` (n,) under `scores` to `folder`; none where it has one class only."""
    if not 0 < held_out.positive.sum() < len(held_out):
        return []
    weight = np.where(held_out.positive, 1.0, float(step))
    drawn: dict[str, Callable[[Axes], None]] = {
        "confusion_matrix": lambda axes: _confusion(axes, held_out, scores, weight),
        "roc_curve": lambda axes: _roc(axes, held_out.positive, scores.anomaly, weight),
        "precision_recall_curve": lambda axes: _precision_recall(axes, held_out.positive, scores.anomaly, weight),
        "calibration": lambda axes: _calibration(axes, held_out.positive, scores.supervised, weight),
        "feature_importance": lambda axes: _importance(axes, importance(card, held_out, step, seed)),
    }
    paths = []
    for name, draw_on in drawn.items():
        # Without pyplot, which keeps every figure in a global.
        figure = Figure(figsize=(7, 5), layout="constrained")
        draw_on(figure.subplots())
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=110)
        paths.append(path)
    return paths


def confusion(held_out: Labelled, action: NDArray[Any], weight: NDArray[np.float64]) -> tuple[list[str], NDArray[Any]]:
    """(actions, weighted counts (true, said)) of every action that was right or said at least once."""
    truth, said = held_out.action.astype(str), action.astype(str)
    names = sorted({*truth, *said}, key=lambda name: (name != CONTINUE, name))
    counts = np.zeros((len(names), len(names)))
    index = {name: i for i, name in enumerate(names)}
    np.add.at(counts, ([index[name] for name in truth], [index[name] for name in said]), weight)
    return names, counts


def importance(card: Scorecard, held_out: Labelled, step: int, seed: int) -> list[tuple[str, float]]:
    """How much average precision falls when a sensor's features are shuffled among the rows, largest first.

    A sensor's deviations are shuffled together, for a window of 15 minutes tells what one of 5 does. On at most
    IMPORTANCE_ROWS rows, half of them faults where there are so many. Sensors that no row has are left out.
    """
    random = np.random.default_rng(seed)
    positive, normal = np.flatnonzero(held_out.positive), np.flatnonzero(~held_out.positive)
    most = IMPORTANCE_ROWS // 2
    taken = np.concatenate([random.permutation(rows)[:most] for rows in (positive, normal)])
    rows = held_out.take(np.sort(taken))
    # What was left out of either class is made up for.
    weight = np.where(rows.positive, len(positive), step * len(normal)) / np.where(
        rows.positive, rows.positive.sum(), (~rows.positive).sum()
    )

    def precision(x: NDArray[np.float64]) -> float:
        anomaly = card.score(x, rows.windows.equipment).anomaly
        return float(average_precision_score(rows.positive, anomaly, sample_weight=weight))

    whole = precision(rows.windows.x)
    falls = []
    for name, columns in _groups().items():
        if np.isnan(rows.windows.x[:, columns]).all():
            continue
        shuffled = rows.windows.x.copy()
        shuffled[:, columns] = shuffled[random.permutation(len(rows))][:, columns]
        falls.append((name, whole - precision(shuffled)))
    return sorted(falls, key=lambda pair: -pair[1])


def _groups() -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(FEATURES):
        sensor = next((m for m in MEASUREMENTS if name.startswith(f"{m}_")), None)
        kind = "flat" if name.endswith("_flat_minutes") else "deviation"
        groups.setdefault(f"{sensor} {kind}" if sensor else name, []).append(index)
    return groups


def _confusion(axes: Axes, held_out: Labelled, scores: Scores, weight: NDArray[np.float64]) -> None:
    names, counts = confusion(held_out, scores.action, weight)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{value:,.0f}", ha="center", va="center", color=colour, fontsize=8)
    labels = [name.replace("_", " ") for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlabel="said", ylabel="was", title="Actions, in minutes of the held-out time")


def _roc(axes: Axes, positive: NDArray[Any], score: NDArray[Any], weight: NDArray[np.float64]) -> None:
    false, true, _ = roc_curve(positive, score, sample_weight=weight)
    axes.plot(false, true)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    raised = score >= ALERT_THRESHOLD
    axes.plot(raised[~positive].mean(), raised[positive].mean(), "o", label=f"score {ALERT_THRESHOLD:g}")
    axes.set(xlabel="share of normal windows raised", ylabel="share of fault windows raised", title="ROC")
    axes.legend()


def _precision_recall(axes: Axes, positive: NDArray[Any], score: NDArray[Any], weight: NDArray[np.float64]) -> None:
    precision, recall, _ = precision_recall_curve(positive, score, sample_weight=weight)
    area = average_precision_score(positive, score, sample_weight=weight)
    base = weight[positive].sum() / weight.sum()
    axes.step(recall, precision, where="post", label=f"average precision {area:.3f}")
    axes.axhline(base, linestyle=":", color="grey", label=f"base rate {base:.4f}")
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02), title="Precision and recall of fault windows")
    axes.legend()


def _calibration(axes: Axes, positive: NDArray[Any], probability: NDArray[Any], weight: NDArray[np.float64]) -> None:
    said, was, _ = reliability(positive, probability, weight)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.plot(said, was, marker="o")
    axes.set(
        xlabel="P(known fault), mean of the bin", ylabel="share of faults in the bin", xlim=(0, 1), ylim=(0, 1.02),
        title="Calibration of the classifier",
    )  # fmt: skip


def reliability(
    positive: NDArray[Any], probability: NDArray[Any], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(mean probability, share of faults, weight) of each of BINS equal bins that has rows."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    total = np.bincount(place, weight, BINS).astype(float)
    filled = total > 0
    said = np.bincount(place, weight * probability, BINS)[filled] / total[filled]
    was = np.bincount(place, weight * positive, BINS)[filled] / total[filled]
    return said, was, total[filled]


def _importance(axes: Axes, falls: list[tuple[str, float]]) -> None:
    names = [name for name, _ in falls][::-1]
    axes.barh(names, [value for _, value in falls][::-1])
    axes.set(xlabel="fall of average precision when shuffled", title="What the score rests on")
