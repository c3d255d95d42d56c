"""How good a model is on held-out time, in figures that are stored, whatever they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml import reliability
from ml.ahead import Ahead
from ml.bootstrap import blocks, interval
from ml.calibration import ALERT_THRESHOLD, band_figures, band_rates
from ml.episodes import MINUTE, episodes
from ml.features import from_micros
from ml.labels import Labelled
from ml.scorecard import SHUTDOWN, Scorecard, Scores

LATENCY_BATCH = 1000
HORIZONS = {"24h": 24.0, "72h": 72.0, "7d": 168.0}
LEVEL = 0.9
# ISA-18.2: an alarm that comes on this often is a chattering one.
CHATTER = 3
WEEK = 7 * 24 * 60


def evaluate(scorecard: Scorecard, held_out: Labelled, step: int) -> dict[str, float]:
    """Figures at the alert threshold on `held_out`, whose evenly drawn rows stand for `step` minutes each.

    `precision`, `recall` and `false_alarm_rate` are of minutes; `event_recall` counts failures that an alert came
    before; `alarm_rate` and `chatter_rate` are episodes, and chattering ones, a machine-week of running time, as far as
    the rows show them: but for the hours before failures they lie ten minutes apart or more, and what comes and goes
    faster is not seen, but for gate 2 in the minutes of the shadow. Rows that are there for their answer count for
    their minutes and for no episode: only a champion's own alarms are answered, and a candidate's elsewhere would be
    looked at less closely.

    `episodes_weekly_*` are false-alarm episodes a machine-week from each band on, stated and as measured on normal
    rows, with an interval; `action_accuracy` is over positive windows that were raised, as are the Brier score of the
    confidence and how far it lies from it; `ttf_error_h` is a median. NaN where there was nothing to count.
    """
    windows = held_out.windows
    scores = scorecard.score(windows.x, windows.equipment)
    raised = scores.anomaly >= ALERT_THRESHOLD
    positive = held_out.positive
    hits, faulty = held_out.minutes[raised & positive].sum(), held_out.minutes[positive].sum()
    false, normal = held_out.minutes[raised & ~positive].sum(), held_out.minutes[~positive].sum()
    found = {int(event) for event in held_out.event[raised & (held_out.event >= 0)]}
    failures = {int(event) for event in held_out.event[held_out.event >= 0]}
    raised_faults, right = told(held_out, scores)
    sure, weight = scores.confidence[raised_faults], held_out.minutes[raised_faults]
    both = positive & np.isfinite(scores.hours_to_failure) & np.isfinite(held_out.hours)
    error = np.abs(scores.hours_to_failure[both] - held_out.hours[both])
    days = max((int(windows.ends.max()) - int(windows.ends.min())) / 86_400e6, 1e-9) if len(windows) else np.nan
    machines = max(len(set(windows.equipment)), 1)
    totals = _totals(raised, held_out).sum(axis=0)
    calm, bands = ~positive & ~held_out.asked, scorecard.bands
    rates = band_rates(
        windows.equipment[calm], windows.ends[calm], scores.anomaly[calm], bands.stated, step, bands.minutes
    )
    return {
        **band_figures(rates),
        "precision": hits / (hits + false) if hits + false else np.nan,
        "recall": hits / faulty if faulty else np.nan,
        "event_recall": len(found) / len(failures) if failures else np.nan,
        "false_alarm_rate": false / normal if normal else np.nan,
        "false_windows_per_machine_week": false / (days * machines) * 7 if normal else np.nan,
        "alarm_rate": _ALARMS["alarm_rate"](totals),
        "chatter_rate": _ALARMS["chatter_rate"](totals),
        "action_accuracy": float(np.average(right, weights=weight)) if len(right) else np.nan,
        "confidence_brier": reliability.brier(sure, right, weight),
        "confidence_error": reliability.expected_calibration_error(sure, right, weight),
        "ttf_error_h": float(np.median(error)) if len(error) else np.nan,
        "latency_ms": latency_ms(scorecard, held_out),
        "windows": float(len(windows)),
        "positive_windows": float(positive.sum()),
        "failures": float(len(failures)),
    }


def told(held_out: Labelled, scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The rows (k,) with a fault that were raised, and whether the action said of them was right (k,)."""
    rows = np.flatnonzero((scores.anomaly >= ALERT_THRESHOLD) & held_out.positive)
    right = scores.action[rows] == held_out.action[rows]
    # A shutdown said within the hour before a failure was right, whatever else would have mended it.
    right |= (scores.action[rows] == SHUTDOWN) & (held_out.hours[rows] <= 1.0)
    return rows, np.asarray(right, bool)


def _ratio(over: int, under: int, times: float = 1.0) -> Callable[[NDArray[np.float64]], float]:
    return lambda totals: float(times * totals[over] / totals[under]) if totals[under] else np.nan


# Of the columns of `_totals`.
_ALARMS = {"precision": _ratio(0, 1), "recall": _ratio(0, 2), "alarm_rate": _ratio(3, 5), "chatter_rate": _ratio(4, 5)}


def _totals(raised: NDArray[np.bool_], held_out: Labelled) -> NDArray[np.float64]:
    """What the windows (n,) add up to, a row (n, 6) each: hits, raised and fault minutes, episodes that begin with it,
    chattering ones, machine-weeks."""
    windows, positive, minutes = held_out.windows, held_out.positive, held_out.minutes
    begins, chatters = np.zeros(len(windows), bool), np.zeros(len(windows), bool)
    fair = np.flatnonzero(~held_out.asked)
    begins[fair], chatters[fair] = _episodes(windows.equipment[fair], windows.ends[fair], raised[fair])
    return np.column_stack(
        [raised * positive * minutes, raised * minutes, positive * minutes, begins, chatters, minutes / WEEK]
    ).astype(float)  # fmt: skip


def _episodes(
    equipment: NDArray[Any], ends: NDArray[np.int64], raised: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """At which windows (n,) an episode begins, and one that comes on at least CHATTER times."""
    names, machine = np.unique(equipment.astype(np.str_), return_inverse=True)
    place = machine.astype(np.int64) << 32 | ends // MINUTE
    order = np.argsort(place, kind="stable")
    up = raised[order]
    comes_on = up.copy()
    comes_on[1:] &= ~(up[:-1] & (machine[order][1:] == machine[order][:-1]))
    found = episodes(equipment, ends, raised)
    start = np.searchsorted(names, found.equipment).astype(np.int64) << 32 | found.start // MINUTE
    rows = order[np.searchsorted(place[order], start)]
    times = np.bincount(np.searchsorted(start, place[order][comes_on], side="right") - 1, minlength=len(found))
    begins, chatters = np.zeros(len(ends), bool), np.zeros(len(ends), bool)
    begins[rows], chatters[rows] = True, times >= CHATTER
    return begins, chatters


def differences(candidate: Scorecard, champion: Scorecard, held_out: Labelled) -> dict[str, float]:
    """Candidate's minus champion's precision, recall, alarm and chatter rate on the same windows, each with the ends of
    its LEVEL interval: `…_difference`, `…_difference_low`, `…_difference_high`.

    The interval is a paired block bootstrap: whole machine-days are redrawn, with what both said of them. NaN where
    there is nothing to compare.
    """
    windows = held_out.windows
    if not len(windows):
        return {f"{name}_difference{end}": np.nan for name in _ALARMS for end in ("", "_low", "_high")}
    block = blocks(windows.equipment, windows.ends)
    both = []
    for card in (candidate, champion):
        raised = card.score(windows.x, windows.equipment).anomaly >= ALERT_THRESHOLD
        rows = _totals(raised, held_out)
        both.append(np.column_stack([np.bincount(block, weights=column) for column in rows.T]))
    figures = {}
    for name, figure in _ALARMS.items():

        def difference(weight: NDArray[np.float64], figure: Callable[..., float] = figure) -> float:
            own, theirs = (weight @ sums for sums in both)
            return figure(own) - figure(theirs)

        low, high = interval(difference, np.arange(len(both[0])), level=LEVEL)
        figures[f"{name}_difference"] = difference(np.ones(len(both[0])))
        figures |= {f"{name}_difference_low": low, f"{name}_difference_high": high}
    return figures


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
            f"pr_auc_{name}": reliability.average_precision(said, came, weight),
            f"brier_{name}": reliability.brier(said, came, weight),
            f"calibration_error_{name}": reliability.expected_calibration_error(said, came, weight),
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
