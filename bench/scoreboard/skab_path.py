"""SKAB along the product's path: replayed through OPC UA, landed, features by dbt, scored."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.scoreboard.files import SKAB_CHANNELS, SKAB_LABELS, SKAB_TRAINING_ROWS, Experiment
from bench.scoreboard.product import Product, listening, product, shortened
from warehouse.roles import Role, connect
from warehouse.server import free_port

# A baseline is made of closed days, and training holds the last fifth of its time out and refuses fewer than 200
# minutes before it: a file has six whole ones a day.
FEWEST_DAYS = 4
_MINUTES_WANTED, _MINUTES_A_DAY = 220, 6
FASTEST = 10.0
# What the simulator serves and the worker lands side by side on two cores, in files at ten times their speed.
_FILES_AT_FASTEST = 16
MAP = "maps/skab.yml"
VARIABLES = {"baseline_min_minutes": 5}
_GOLD_DAYS = 30  # as shipped
PROTOCOL = (
    "All files are replayed at once through OPC UA at up to"
    f" {FASTEST:.0f} times their speed, their spacing kept in the source timestamps; each is a machine. The training"
    f" rows are its past, backfilled to each of the {FEWEST_DAYS} days before, more if there are few files: a baseline"
    " is made of closed days, and training refuses a handful of minutes; the copies add no knowledge. Of the settings,"
    f" {shortened(VARIABLES)} stands in for 60, the hour of past that these files don't have."
)


@dataclass(frozen=True)
class Judged:
    """The judged minutes of one file: `scores` (n,) and whether most of a minute's rows are labelled (n,)."""

    scores: NDArray[np.float64]
    inside: NDArray[np.bool_]
    readings: int
    landed: int

    @property
    def area(self) -> float | None:
        """ROC AUC; None where all minutes are of a kind."""
        from sklearn.metrics import roc_auc_score

        both = self.inside.any() and not self.inside.all()
        return float(roc_auc_score(self.inside, self.scores)) if both else None


NOTHING = Judged(np.empty(0), np.empty(0, dtype=bool), 0, 0)


def run(experiments: Sequence[Experiment], folder: Path) -> list[Judged]:
    """One result an experiment, in the order given."""
    with product(folder) as one:
        return _judge(one, experiments, folder)


def _judge(one: Product, experiments: Sequence[Experiment], folder: Path) -> list[Judged]:
    files = without_labels(experiments, folder / "files")
    today = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    days = past_days(len(files))
    past = write_past(files, folder / "past", [today - timedelta(days=back) for back in range(days, 0, -1)])
    variables = json.dumps(VARIABLES | ({"gold_days": days + 2} if days > _GOLD_DAYS - 2 else {}))
    one.run("ingest", "backfill", *map(str, past), "--map", MAP)
    one.run("warehouse", "transform", "--vars", variables)
    one.run("ml", "train", "--bootstrap")

    began = datetime.now(UTC) - timedelta(hours=1)
    _replay(one, files)
    one.run("warehouse", "transform", "--select", "tag:minute", "--vars", variables)
    one.run("ml", "score", "--from", began.isoformat(), "--to", datetime.now(UTC).isoformat())

    scores = one.scores()
    found = []
    for experiment, file in zip(experiments, files, strict=True):
        machine = scores[scores.equipment_id == f"SKAB-{file.stem}"]
        landed, first = _replayed(one, f"SKAB-{file.stem}", began)
        times = experiment.times + (first - experiment.times.iloc[0])
        labels = pd.Series(experiment.anomaly.astype(float), index=pd.DatetimeIndex(times))
        ends, inside = label(machine.window_end, labels, times.iloc[SKAB_TRAINING_ROWS])
        values = machine.set_index("window_end").anomaly_score.loc[ends].to_numpy(float)
        found.append(Judged(values, inside, int(np.isfinite(experiment.values).sum()), landed))
    return found


def without_labels(experiments: Sequence[Experiment], folder: Path) -> list[Path]:
    """A copy a file without its labels, named by folder and number: 3.csv is in more than one."""
    folder.mkdir()
    written = []
    for one in experiments:
        table = pd.read_csv(one.path, sep=";", dtype=str, usecols=["datetime", *SKAB_CHANNELS])
        written.append(folder / f"{one.path.parent.name}-{one.path.stem}.csv")
        table[["datetime", *SKAB_CHANNELS]].to_csv(written[-1], sep=";", index=False)
    return written


def write_past(files: Sequence[Path], folder: Path, days: Sequence[datetime]) -> list[Path]:
    """The training rows of each file, dated to each of `days`; the copies add no knowledge."""
    folder.mkdir()
    written = []
    for file in files:
        good = pd.read_csv(file, sep=";", nrows=SKAB_TRAINING_ROWS, usecols=lambda name: name not in SKAB_LABELS)
        times = pd.to_datetime(good["datetime"])
        copies = []
        for day in days:
            dated = times - times.iloc[0] + pd.Timestamp(day).tz_localize(None)
            copies.append(good.assign(datetime=dated.dt.strftime("%Y-%m-%d %H:%M:%S")))
        written.append(folder / file.name)
        pd.concat(copies).to_csv(written[-1], sep=";", index=False)
    return written


def label(
    ends: Sequence[pd.Timestamp] | pd.Series, labels: pd.Series, judged_from: pd.Timestamp
) -> tuple[list[pd.Timestamp], NDArray[np.bool_]]:
    """The ends of the minutes that begin at `judged_from` or later and have labels, and which are mostly anomalous."""
    judged, inside = [], []
    for end in ends:
        begin = end - pd.Timedelta(minutes=1)
        rows = labels[(labels.index >= begin) & (labels.index < end)]
        if begin >= judged_from and len(rows):
            judged.append(end)
            inside.append(rows.mean() > 0.5)
    return judged, np.array(inside, dtype=bool)


def past_days(files: int) -> int:
    """On how many days the past is repeated, so that four fifths of it are enough minutes to train on."""
    return max(FEWEST_DAYS, math.ceil(_MINUTES_WANTED / (0.8 * _MINUTES_A_DAY * max(files, 1))) + 1)


def speed(files: int) -> float:
    """Times as fast as recorded: fewer at a time go faster, so that nothing falls behind."""
    return min(FASTEST, FASTEST * _FILES_AT_FASTEST / max(files, 1))


def _replay(one: Product, files: Sequence[Path]) -> None:
    """Serve the files over OPC UA from first to last sample while the worker lands them."""
    port, plant = free_port(), one.settings.var / "skab.yml"
    serve = ["replay", *map(str, files), "--map", MAP, "--port", str(port), "--speed", f"{speed(len(files)):g}"]
    with one.running("simulator", *serve, "--write-plant", str(plant)) as replay:
        listening(port, replay)
        with one.running("ingest", "run", "--plant", str(plant)):
            if replay.wait(timeout=3600) != 0:
                raise RuntimeError("the replay failed")


def _replayed(one: Product, equipment_id: str, after: datetime) -> tuple[int, pd.Timestamp]:
    """How many good readings of a machine the replay landed, and its first source time (UTC, without zone)."""
    with connect(one.settings, Role.TRANSFORM) as connection:
        row = connection.execute(
            """SELECT count(*), min(e.source_ts) FROM raw.sensor_events AS e JOIN raw.tags AS t USING (tag_id)
               WHERE t.equipment_id = %s AND e.source_ts >= %s AND e.origin = 'live' AND e.status = 0""",
            (equipment_id, after),
        ).fetchone()
    if row is None or row[1] is None:
        raise RuntimeError(f"nothing of {equipment_id} was landed by the replay")
    return row[0], pd.Timestamp(row[1]).tz_convert("UTC").tz_localize(None)
