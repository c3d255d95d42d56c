"""How good a model is on held-out time, in figures that are stored, whatever they are."""

from __future__ import annotations

import time
from datetime import datetime

import numpy as np
import psycopg

from ml.calibration import band_figures, band_rates
from ml.features import from_micros
from ml.labels import Labelled
from ml.scorecard import Scorecard

ALERT_THRESHOLD = 0.7
LATENCY_BATCH = 1000


def evaluate(scorecard: Scorecard, held_out: Labelled, step: int) -> dict[str, float]:
    """Figures at the alert threshold on `held_out`, whose normal rows stand for `step` minutes each.

    `precision`, `recall` and `false_alarm_rate` count windows; `event_recall` counts failures that an alert
    came before; `episodes_weekly_*` are false-alarm episodes a machine-week from each band on, stated and as measured
    on normal rows, with an interval; `action_accuracy` is over positive windows that were raised; `ttf_error_h` is a
    median. NaN where there was nothing to count.
    """
    windows = held_out.windows
    scores = scorecard.score(windows.x, windows.equipment)
    raised = scores.anomaly >= ALERT_THRESHOLD
    positive = held_out.positive
    hits, misses = int((raised & positive).sum()), int((~raised & positive).sum())
    false, normal = int((raised & ~positive).sum()), int((~positive).sum())
    found = {int(event) for event in held_out.event[raised & (held_out.event >= 0)]}
    failures = {int(event) for event in held_out.event[held_out.event >= 0]}
    right = scores.action[raised & positive] == held_out.action[raised & positive]
    both = positive & np.isfinite(scores.hours_to_failure) & np.isfinite(held_out.hours)
    error = np.abs(scores.hours_to_failure[both] - held_out.hours[both])
    days = max((int(windows.ends.max()) - int(windows.ends.min())) / 86_400e6, 1e-9) if len(windows) else np.nan
    machines = max(len(set(windows.equipment)), 1)
    calm, bands = ~positive, scorecard.bands
    rates = band_rates(
        windows.equipment[calm], windows.ends[calm], scores.anomaly[calm], bands.stated, step, bands.minutes
    )
    return {
        **band_figures(rates),
        "precision": hits / (hits + false * step) if hits + false else np.nan,
        "recall": hits / (hits + misses) if hits + misses else np.nan,
        "event_recall": len(found) / len(failures) if failures else np.nan,
        "false_alarm_rate": false / normal if normal else np.nan,
        "false_windows_per_machine_week": false * step / (days * machines) * 7 if normal else np.nan,
        "action_accuracy": float(right.mean()) if len(right) else np.nan,
        "ttf_error_h": float(np.median(error)) if len(error) else np.nan,
        "latency_ms": latency_ms(scorecard, held_out),
        "windows": float(len(windows)),
        "positive_windows": float(positive.sum()),
        "failures": float(len(failures)),
    }


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
