"""The model card of a version, and its pictures, from the rows that it was judged on."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.rows import dict_row

from ml import registry
from ml.bootstrap import blocks, interval
from ml.calibration import ALERT_THRESHOLD, Bands, band_rates
from ml.episodes import machine_weeks
from ml.errors import ModelError
from ml.gates import evaluation
from ml.gates.criteria import say
from ml.labels import Labelled
from ml.learning import sampling
from ml.policy import Policy
from ml.scorecard import Scores
from warehouse.roles import Role, connect
from warehouse.settings import Settings

CARD = "model_card.md"
# What the registry takes as a description.
DESCRIPTION = 5000
SEVERITIES = ("minor", "significant", "critical")  # of the bands
# Of this machine and this hour, not of the version.
LOCAL = ("latency_ms",)
# Told beside the figure that they belong to: its interval, and of a band what it stands for, in a table of its own.
BESIDE = ("_low", "_high", "_stated")
LEGEND = (
    "At a score of 0.7, of minutes: precision, recall, and false_alarm_rate, the share of the normal ones."
    " event_recall: failures that an alert came before. alarm_rate, chatter_rate: episodes, and those that come on"
    " three times, a machine-week; episodes_weekly: those of normal operation, from a score on. action_accuracy,"
    " confidence_brier, confidence_error: of the action said of raised faults. ttf_error_h: median, in hours."
    " base_rate, pr_auc, brier, calibration_error: of a failure within 24 h, 72 h and 7 days. ttf_coverage: failures"
    " inside their interval, 0.8 if it is right. _difference: from the champion."
)


@dataclass(frozen=True)
class Training:
    """A row of `ml.training_runs` with the figures of the version and of the champion of that day."""

    row: dict[str, Any]
    policy: Policy
    figures: dict[str, float | None]
    champion: str | None
    champions_figures: dict[str, float | None]


def training_of(connection: psycopg.Connection, version: str) -> Training:
    """The training that made a version; raises ModelError where it isn't known or kept no provenance."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT * FROM ml.training_runs WHERE model_version = %s AND outcome = 'trained'"
            " ORDER BY started_at DESC LIMIT 1",
            (version,),
        ).fetchone()
    if row is None:
        versions = connection.execute(
            "SELECT model_version FROM ml.training_runs WHERE outcome = 'trained' ORDER BY started_at DESC LIMIT 5"
        ).fetchall()
        newest = f"the newest are {', '.join(name for (name,) in versions)}" if versions else "none was trained yet"
        raise ModelError(f"no training of version {version!r} is known; {newest}")
    if row["policy"] is None:
        raise ModelError(f"version {version} was trained before Millwright kept what a training was made of")
    other = connection.execute(
        "SELECT model_version FROM ml.evaluations WHERE training_id = %s AND model_version <> %s LIMIT 1",
        (row["training_id"], version),
    ).fetchone()
    champion = str(other[0]) if other else None
    known = {name: value for name, value in row["policy"].items() if name in Policy.model_fields}
    return Training(
        # As it was, whatever is allowed or set by now.
        row, Policy.model_construct(**known), evaluation.load(connection, row["training_id"], version), champion,
        evaluation.load(connection, row["training_id"], champion) if champion else {},
    )  # fmt: skip


def describe(settings: Settings, training_id: str) -> None:
    """`publish` what a training made; nothing where it was refused."""
    with connect(settings, Role.SCORE) as connection:
        row = connection.execute(
            "SELECT model_version FROM ml.training_runs WHERE training_id = %s AND outcome = 'trained'", (training_id,)
        ).fetchone()
    if row is not None:
        publish(settings, str(row[0]))


def publish(settings: Settings, version: str) -> str:
    """Write the card and the pictures of `version` to its run, the card as the version's description; returns it.

    Drawn from the rows that the run has kept. Safe to repeat.
    """
    from ml.learning import figures

    with connect(settings, Role.SCORE) as connection:
        training = training_of(connection, version)
    run_id = training.row["mlflow_run_id"]
    kept = registry.sample_of(settings, run_id)
    if kept is None:
        raise ModelError(f"the run of version {version} has kept no rows to draw its card from")
    sample = sampling.Sample.from_arrays(kept)
    _, held_out = sampling.split(sample, training.policy)
    _, ahead, _ = sampling.split_ahead(sample, training.policy)
    card = registry.load(settings, version)
    scores = card.score(held_out.windows.x, held_out.windows.equipment)
    text = write(training, held_out, scores, sample.step, card.bands)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "figures"
        folder.mkdir()
        drawn = figures.draw(card, held_out, scores, ahead, training.policy.seed, folder)
        if not drawn:
            text += "\nNo pictures: the held-out time has one class only.\n"
        (Path(place) / CARD).write_text(text)
        registry.describe(settings, version, run_id, Path(place), text[:DESCRIPTION])
    return text


def write(training: Training, held_out: Labelled, scores: Scores, step: int, bands: Bands) -> str:
    """The card as Markdown."""
    version = training.row["model_version"]
    sections = {
        "Data": _data(training.row, held_out, step),
        "Figures on the held-out time": _table(training, held_out, scores),
        "Bands on held-out normal operation": _bands(held_out, scores, step, bands),
        "Leakage guards": _guards(training.row, training.policy),
        "Limits": _limits(training.row, training.policy, held_out),
        "Made with": _made(training.row),
    }
    purpose = (
        "Says of each machine and minute how unusual it is (0 to 1), which of six actions fits, how surely, and the"
        " hours to a failure where one shows. For recommendations to operators; no safety function, and no substitute"
        " for limits and trips."
    )
    parts = [f"# {registry.MODEL}, version {version}", purpose]
    parts += [f"## {title}\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _data(row: dict[str, Any], held_out: Labelled, step: int) -> str:
    return "\n".join(
        (
            f"- As of {_at(row['moment'])} UTC; windows from {_at(row['since_ts'])} to {_at(row['until_ts'])}."
            f" What ended after {_at(row['held_out_from'])} judged, the rest taught.",
            f"- {row['training_rows']:,} rows taught, {row['positive_rows']:,} of them with a known fault;"
            f" {row['held_out_rows']:,} judged, {int(held_out.positive.sum()):,} of them with one. A normal row stands"
            f" for {step} minutes, for one where all of them were taken: around an answer.",
            "- Labels are failures and corrective work orders of the CMMS, and operators' answers, as known at that"
            " moment. Stopped machines and maintenance are left out.",
        )
    )


def _guards(row: dict[str, Any], policy: Policy) -> str:
    origin = f"are of search {row['tuning_id']}, which saw nothing of" if row["tuning_id"] else "were not searched on"
    return "\n".join(
        (
            "- Split by time: what judges is later than what teaches, and a failure, answer or outcome that was known"
            " after the split teaches nothing before it.",
            f"- Rows are taken as they were {policy.grace_minutes} minutes after their end at the latest: the vector"
            " that was scored first, else the mart's row if nothing in it came later.",
            f"- Nothing from {policy.clear_days:g} days before a failure until it is repaired counts as normal,"
            " nor from as long before a recommendation that was confirmed until a day after it.",
            f"- Scores are calibrated on rows that taught. Parameters {origin} the held-out time.",
        )
    )


def _limits(row: dict[str, Any], policy: Policy, held_out: Labelled) -> str:
    events = len(np.unique(held_out.event[held_out.event >= 0]))
    judged = f"- Judged on {events} failures: of so few, the share that was found is known roughly only."
    if not row["positive_rows"]:
        judged = "- No fault was known: it is the detector alone, and every action is preventive_inspection."
    return "\n".join(
        (
            judged,
            "- Windows before a failure that show nothing yet are not counted as faults: recall is of what shows.",
            "- Alarms and chatter are counted on rows that lie ten minutes apart or more, but for the hours before a"
            " failure: what comes and goes faster than about every twenty minutes is not seen; gate 2 looks at"
            " every minute of the shadow.",
            f"- Machines with fewer than {policy.commissioning_windows} normal rows take the spread and the tail of all"
            " others.",
        )
    )


def _made(row: dict[str, Any]) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in sorted(row["parameters"].items()))
    libraries = ", ".join(f"{name} {number}" for name, number in sorted(row["libraries"].items()))
    return (
        f"Parameters: {parameters}. Code: {row['code_version']}, ml/ {row['code_hash']}. Libraries: {libraries}. Rows:"
        f" {row['data_hash']}, snapshot {row['snapshot']}. Model: {row['model_hash']}. Made again by"
        f" `python -m ml reproduce {row['model_version']}`."
    )


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _table(training: Training, held_out: Labelled, scores: Scores) -> str:
    spans = intervals(held_out, scores, training.policy.seed)
    against = f"champion then ({training.champion})" if training.champion else "champion then (none)"
    lines = [f"| figure | this version | interval | {against} |", "|---|---|---|---|"]
    for name, value in training.figures.items():
        if name in LOCAL or name.endswith(BESIDE):
            continue
        ends = (training.figures.get(name.removesuffix("_measured") + end) for end in BESIDE[:2])
        low, high = spans.get(name, tuple(np.nan if end is None else end for end in ends))
        span = f"{low:.3g} to {high:.3g}" if np.isfinite(low) else ""
        lines.append(f"| {name} | {_number(value)} | {span} | {_number(training.champions_figures.get(name))} |")
    return "\n".join([*lines, "", LEGEND])


def _number(value: float | None) -> str:
    return "" if value is None else say(value)


def intervals(held_out: Labelled, scores: Scores, seed: int) -> dict[str, tuple[float, float]]:
    """90 % block-bootstrap intervals of the figures that count minutes, by machine and day."""
    if not len(held_out):
        return {}
    raised, positive, minutes = scores.anomaly >= ALERT_THRESHOLD, held_out.positive, held_out.minutes
    block = blocks(held_out.windows.equipment, held_out.windows.ends)
    hits, false = raised * positive * minutes, raised * ~positive * minutes

    def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> tuple[float, float]:
        def statistic(weights: NDArray[np.float64]) -> float:
            total = float(weights @ whole)
            return float(weights @ part) / total if total else float("nan")

        return interval(statistic, block, draws=300, seed=seed)

    return {
        "precision": share(hits, hits + false),
        "recall": share(hits, positive * minutes),
        "false_alarm_rate": share(false, ~positive * minutes),
    }


def _bands(held_out: Labelled, scores: Scores, step: int, bands: Bands) -> str:
    normal = ~held_out.positive & ~held_out.asked
    windows = held_out.windows.take(normal)
    if not len(windows):
        return "None in the held-out time."
    score = scores.anomaly[normal]
    looked = f", of which every {step}th minute was looked at" if step > 1 else ""
    lines = [f"{machine_weeks(windows.equipment, step):,.1f} machine-weeks{looked}. Episodes a machine-week:", ""]
    lines += ["| from | severity | windows | stated | measured | interval, 90 % |", "|---|---|---|---|---|---|"]
    rates = band_rates(windows.equipment, windows.ends, score, bands.stated, step, bands.minutes)
    for rate, severity in zip(rates, SEVERITIES, strict=True):
        lines.append(
            f"| {rate.score:g} | {severity} | {(score >= rate.score).mean():.3%} | {rate.stated:.3f}"
            f" | {rate.measured:.3f} | {rate.low:.3f} to {rate.high:.3f} |"
        )
    return "\n".join(lines)
