"""How good a model is on held-out time, in figures that are stored, whatever they are."""

from __future__ import annotations

import time
from datetime import datetime

import numpy as np
import psycopg

from ml import calibration
from ml.ahead import Ahead
from ml.features import from_micros
from ml.labels import Labelled
from ml.scorecard import SHUTDOWN, Scorecard

ALERT_THRESHOLD = 0.7
LATENCY_BATCH = 1000
HORIZONS = {"24h": 24.0, "72h": 72.0, "7d": 168.0}


def evaluate(scorecard: Scorecard, held_out: Labelled, step: int) -> dict[str, float]:
    """Figures at the alert threshold on `held_out`, whose normal rows stand for `step` minutes each.

    `precision`, `recall` and `false_alarm_rate` count windows; `event_recall` counts failures that an alert
    came before; `action_accuracy` is over positive windows that were raised, as are the Brier score of the confidence
    and how far it lies from it; `ttf_error_h` is a median. NaN where there was nothing to count.
    """
    windows = held_out.windows
    scores = scorecard.score(windows.x, windows.equipment)
    raised = scores.anomaly >= ALERT_THRESHOLD
    positive = held_out.positive
    hits, misses = int((raised & positive).sum()), int((~raised & positive).sum())
    false, normal = int((raised & ~positive).sum()), int((~positive).sum())
    found = {int(event) for event in held_out.event[raised & (held_out.event >= 0)]}
    failures = {int(event) for event in held_out.event[held_out.event >= 0]}
    told = raised & positive
    right = scores.action[told] == held_out.action[told]
    # A shutdown said within the hour before a failure was right, whatever else would have mended it.
    right |= (scores.action[told] == SHUTDOWN) & (held_out.hours[told] <= 1.0)
    sure, ones = scores.confidence[told], np.ones(int(told.sum()))
    both = positive & np.isfinite(scores.hours_to_failure) & np.isfinite(held_out.hours)
    error = np.abs(scores.hours_to_failure[both] - held_out.hours[both])
    days = max((int(windows.ends.max()) - int(windows.ends.min())) / 86_400e6, 1e-9) if len(windows) else np.nan
    machines = max(len(set(windows.equipment)), 1)
    return {
        "precision": hits / (hits + false * step) if hits + false else np.nan,
        "recall": hits / (hits + misses) if hits + misses else np.nan,
        "event_recall": len(found) / len(failures) if failures else np.nan,
        "false_alarm_rate": false / normal if normal else np.nan,
        "false_windows_per_machine_week": false * step / (days * machines) * 7 if normal else np.nan,
        "action_accuracy": float(right.mean()) if len(right) else np.nan,
        "confidence_brier": calibration.brier(sure, right, ones),
        "confidence_error": calibration.expected_calibration_error(sure, right, ones),
        "ttf_error_h": float(np.median(error)) if len(error) else np.nan,
        "latency_ms": latency_ms(scorecard, held_out),
        "windows": float(len(windows)),
        "positive_windows": float(positive.sum()),
        "failures": float(len(failures)),
    }


def evaluate_ahead(scorecard: Scorecard, held_out: Ahead) -> dict[str, float]:
    """Per horizon its base rate, area under precision over recall, Brier score and expected calibration error.

    And how many of the failures within the horizon fell into the interval that was given, which is to be 0.8. Empty
    without a model of horizons; NaN where nothing failed.
    """
    if scorecard.horizons is None or not len(held_out):
        return {}
    ahead = scorecard.horizons.outlook(held_out.windows.x)
    figures: dict[str, float] = {}
    for name, hours in HORIZONS.items():
        said = getattr(ahead, f"failure_{name}")
        if np.isnan(said).any():
            continue
        came, weight = held_out.hours <= hours, held_out.weight
        figures |= {
            f"base_rate_{name}": float(np.average(came, weights=weight)),
            f"pr_auc_{name}": calibration.average_precision(said, came, weight),
            f"brier_{name}": calibration.brier(said, came, weight),
            f"calibration_error_{name}": calibration.expected_calibration_error(said, came, weight),
        }
    failed = held_out.hours <= scorecard.horizons.edges[-1]
    inside = (ahead.hours[:, 0] <= held_out.hours) & (held_out.hours <= ahead.hours[:, 2])
    weight = held_out.weight[failed]
    figures["ttf_coverage"] = float(np.average(inside[failed], weights=weight)) if failed.any() else np.nan
    return figures


def latency_ms(scorecard: Scorecard, rows: Labelled) -> float:
    """Milliseconds for a batch of LATENCY_BATCH windows, the best of three."""
    if not len(rows):
        return float("nan")
    batch = np.resize(np.arange(len(rows)), LATENCY_BATCH)
    x, equipment = rows.windows.x[batch], rows.windows.equipment[batch]
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        scorecard.score(x, equipment)
        taken.append(time.perf_counter() - began)
    return min(taken) * 1000


def store(
    connection: psycopg.Connection, training_id: str, version: str, held_out: tuple[int, int], figures: dict[str, float]
) -> None:
    """One row a figure in `ml.evaluations`; `held_out` is a stretch in microseconds. NaN becomes NULL."""
    since, until = (from_micros(value) for value in held_out)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ml.evaluations (training_id, model_version, held_out_from, held_out_to, metric, value)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (training_id, version, since, until, metric, None if np.isnan(value) else float(value))
                for metric, value in figures.items()
            ],
        )


def load(connection: psycopg.Connection, training_id: str, version: str) -> dict[str, float | None]:
    """The figures of one version in one training's held-out time; later rows win."""
    rows = connection.execute(
        "SELECT metric, value FROM ml.evaluations WHERE training_id = %s AND model_version = %s ORDER BY evaluation_id",
        (training_id, version),
    )
    return dict(rows.fetchall())


def held_out_since(connection: psycopg.Connection, version: str) -> datetime | None:
    """Where the held-out time of a version's own training began, or None where it is not known."""
    row = connection.execute(
        "SELECT min(e.held_out_from) FROM ml.evaluations AS e JOIN ml.training_runs AS t USING (training_id)"
        " WHERE t.model_version = %s AND e.model_version = %s",
        (version, version),
    ).fetchone()
    return row[0] if row else None
