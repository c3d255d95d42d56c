"""Pictures of how a version did on its held-out time. Rows count as the minutes that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from ml import reliability
from ml.ahead import Ahead
from ml.calibration import ALERT_THRESHOLD
from ml.features import FEATURES, MEASUREMENTS
from ml.gates import evaluation
from ml.labels import Labelled
from ml.scorecard import CONTINUE, Scorecard, Scores

# Permuting a sensor costs as much as scoring the rows again, a score of sensors and kinds of features each.
IMPORTANCE_ROWS = 1000
# (as told, share that came true, minutes) of each bin, by name.
Curves = dict[str, list[tuple[float, float, float]]]


def draw(card: Scorecard, held_out: Labelled, scores: Scores, ahead: Ahead, seed: int, folder: Path) -> list[Path]:
    """Write the pictures of `held_out` (n,) under `scores` to `folder`; none where it has one class only.

    What people are told as a probability is held against what came: the confidence on the faults that were raised, and
    on `ahead` the failure within each horizon that the card looks to.
    """
    if not 0 < held_out.positive.sum() < len(held_out):
        return []
    weight = held_out.minutes
    drawn: dict[str, Callable[[Axes], None]] = {
        "confusion_matrix": lambda axes: _confusion(axes, held_out, scores, weight),
        "roc_curve": lambda axes: _roc(axes, held_out.positive, scores.anomaly, weight),
        "precision_recall_curve": lambda axes: _precision_recall(axes, held_out.positive, scores.anomaly, weight),
        "confidence_calibration": lambda axes: _calibration(axes, confidence_curve(held_out, scores), "Confidence"),
        "horizon_calibration": lambda axes: _calibration(axes, horizon_curves(card, ahead), "Failure ahead"),
        "feature_importance": lambda axes: _importance(axes, importance(card, held_out, seed)),
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


def importance(card: Scorecard, held_out: Labelled, seed: int) -> list[tuple[str, float]]:
    """How much average precision falls when a sensor's features are those of other rows of the machine, largest first.

    A sensor's deviations are taken together, for a window of 15 minutes tells what one of 5 does. On at most
    IMPORTANCE_ROWS rows, half of them faults where there are so many; the other rows are drawn as the held-out time has
    them, or every second would be a fault, and of the same machine, for another one's spread looks like a fault in
    this one's. Sensors that no row has are left out.
    """
    random = np.random.default_rng(seed)
    positive, normal = np.flatnonzero(held_out.positive), np.flatnonzero(~held_out.positive)
    most = IMPORTANCE_ROWS // 2
    taken = np.concatenate([random.permutation(rows)[:most] for rows in (positive, normal)])
    rows = held_out.take(np.sort(taken))
    # What was left out of either class is made up for.
    weight = rows.minutes.copy()
    for whole, part in ((positive, rows.positive), (normal, ~rows.positive)):
        weight[part] *= held_out.minutes[whole].sum() / weight[part].sum()

    def precision(x: NDArray[np.float64]) -> float:
        anomaly = card.score(x, rows.windows.equipment).anomaly
        return float(average_precision_score(rows.positive, anomaly, sample_weight=weight))

    unshuffled = precision(rows.windows.x)
    others = np.arange(len(rows))
    falls = []
    for name, columns in _groups().items():
        if np.isnan(rows.windows.x[:, columns]).all():
            continue
        shuffled = rows.windows.x.copy()
        for machine in np.unique(rows.windows.equipment.astype(str)):
            own = np.flatnonzero(rows.windows.equipment == machine)
            others[own] = random.choice(own, len(own), p=weight[own] / weight[own].sum())
        shuffled[:, columns] = rows.windows.x[others][:, columns]
        falls.append((name, unshuffled - precision(shuffled)))
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
    at = [np.average(raised[part], weights=weight[part]) for part in (~positive, positive)]
    axes.plot(*at, "o", label=f"score {ALERT_THRESHOLD:g}")
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


def confidence_curve(held_out: Labelled, scores: Scores) -> Curves:
    """How often the action was the right one, by the confidence that was told with it, on faults that were raised."""
    told, right = evaluation.told(held_out, scores)
    return {"right action": reliability.reliability(scores.confidence[told], right, held_out.minutes[told])}


def horizon_curves(card: Scorecard, ahead: Ahead) -> Curves:
    """How often a machine failed within each horizon that the card looks to, by P(failure within it) as told."""
    if card.horizons is None or not len(ahead):
        return {}
    outlook = card.horizons.outlook(ahead.windows.x)
    said = {name: getattr(outlook, f"failure_{name}") for name in evaluation.HORIZONS}
    return {
        f"within {name}": reliability.reliability(p, ahead.hours <= evaluation.HORIZONS[name], ahead.weight)
        for name, p in said.items() if not np.isnan(p).any()
    }  # fmt: skip


def _calibration(axes: Axes, curves: Curves, title: str) -> None:
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    for name, rows in curves.items():
        said, came, minutes = (np.array([row[k] for row in rows]) for k in range(3))
        (line,) = axes.plot(said, came, marker="o", label=f"{name} ({minutes.sum():,.0f} minutes)")
        for x, y, count in zip(said, came, minutes, strict=True):
            axes.annotate(
                f"{count:,.0f}", (x, y), (4, 4), textcoords="offset points", fontsize=7, color=line.get_color()
            )
    axes.set(
        xlabel="as told, mean of the bin", ylabel="share that came true", xlim=(0, 1), ylim=(0, 1.02),
        title=f"{title}: as told and as it came" if curves else f"{title}: nothing of it in the held-out time",
    )  # fmt: skip
    if curves:
        axes.legend()


def _importance(axes: Axes, falls: list[tuple[str, float]]) -> None:
    names = [name for name, _ in falls][::-1]
    axes.barh(names, [value for _, value in falls][::-1])
    axes.set(
        xlabel=f"fall of average precision when shuffled ({IMPORTANCE_ROWS:,} rows)", title="What the score rests on"
    )
