"""The main job on recorded readings: SKAB replayed through OPC UA, NAB backfilled; what the scores do in the labels.

    python -m bench.recorded --data ../shared/data

Runs the product's own commands (backfill, replay, ingest, transform, train, score) in throw-away warehouses and writes
`docs/recorded.md` and `docs/recorded.json`. Labels are read after the scores are made, and nowhere else.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from warehouse import server
from warehouse.migrate import migrate
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import HOME, Settings

# SKAB's protocol: the first 400 rows of an experiment are known to be good, the rest is judged.
KNOWN_GOOD_ROWS = 400
LABELS = ("anomaly", "changepoint")
# A baseline is made of closed days and training holds the last fifth of its time out.
PAST_DAYS = 4
REPLAY_SPEED = 10
# Of a time line, NAB's probation: a detector may learn from it and isn't judged by it.
PROBATION = 0.15
SHOWN = 0.7
SKAB_VARS = {"baseline_min_minutes": 5}
NAB_VARS = {"gold_days": 90}

_NOT_HERE = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "MLFLOW_TRACKING_URI")


class Runner:
    """Runs the project's own commands against one throw-away warehouse."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.environment = {name: value for name, value in os.environ.items() if name not in _NOT_HERE} | {
            "MILLWRIGHT_VAR": str(settings.var),
            "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port),
            "MILLWRIGHT_MLFLOW_PORT": str(settings.mlflow_port),
        }

    def run(self, *arguments: str) -> None:
        """Run `python -m ARGUMENTS`; raises CalledProcessError if it fails."""
        typer.echo(f"$ python -m {' '.join(arguments)}", err=True)
        subprocess.run(
            [sys.executable, "-m", *arguments], cwd=HOME, env=self.environment, check=True, stdout=sys.stderr
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """`python -m ARGUMENTS` beside the block, ended with it."""
        typer.echo(f"$ python -m {' '.join(arguments)} &", err=True)
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=HOME, env=self.environment, stdout=sys.stderr
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def scores(self) -> pd.DataFrame:
        """Every current score: equipment_id, window_end (UTC, without zone), anomaly_score."""
        with connect(self.settings, Role.BI) as connection:
            rows = connection.execute(
                "SELECT equipment_id, window_end AT TIME ZONE 'UTC', anomaly_score FROM ml.scores"
                " WHERE superseded_at IS NULL ORDER BY equipment_id, window_end"
            ).fetchall()
        return pd.DataFrame(rows, columns=["equipment_id", "window_end", "anomaly_score"])


def listening(port: int, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    """Return once `process` answers at `port` of this machine."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"nothing listens at port {port}")


def summary(scores: NDArray[np.float64], inside: NDArray[np.bool_]) -> dict[str, Any]:
    """Score levels and ROC AUC of windows inside against outside the labels; None where there are none of a kind."""
    one, other = scores[inside], scores[~inside]
    return {
        "windows": len(scores),
        "windows_inside": len(one),
        "median_inside": float(np.median(one)) if len(one) else None,
        "median_outside": float(np.median(other)) if len(other) else None,
        "shown_inside": float((one >= SHOWN).mean()) if len(one) else None,
        "shown_outside": float((other >= SHOWN).mean()) if len(other) else None,
        "roc_auc": float(roc_auc_score(inside, scores)) if len(one) and len(other) else None,
    }


def write_past(files: Sequence[Path], folder: Path, days: Sequence[datetime]) -> list[Path]:
    """The known-good rows of each recording, dated to each of `days`; the labels stay behind."""
    written = []
    for file in files:
        good = pd.read_csv(file, sep=";", nrows=KNOWN_GOOD_ROWS, usecols=lambda name: name not in LABELS)
        times = pd.to_datetime(good["datetime"])
        copies = []
        for day in days:
            dated = times - times.iloc[0] + pd.Timestamp(day).tz_localize(None)
            copies.append(good.assign(datetime=dated.dt.strftime("%Y-%m-%d %H:%M:%S")))
        written.append(folder / file.name)
        pd.concat(copies).to_csv(written[-1], sep=";", index=False)
    return written


def skab(runner: Runner, folder: Path) -> list[dict[str, Any]]:
    """Replay every valve1 file through OPC UA at once; one result a file."""
    files = sorted((folder / "valve1").glob("*.csv"), key=lambda path: int(path.stem))
    today = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=back) for back in range(PAST_DAYS, 0, -1)]
    variables = json.dumps(SKAB_VARS)
    past = runner.settings.var / "past"
    past.mkdir()
    runner.run("ingest", "backfill", *map(str, write_past(files, past, days)), "--map", "maps/skab.yml")
    runner.run("warehouse", "transform", "--vars", variables)
    runner.run("ml", "train", "--bootstrap")

    began = datetime.now(UTC) - timedelta(hours=1)
    replay_files(runner, files)
    runner.run("warehouse", "transform", "--select", "tag:minute", "--vars", variables)
    runner.run("ml", "score", "--from", began.isoformat(), "--to", datetime.now(UTC).isoformat())

    scores = runner.scores()
    results = []
    for file in files:
        machine = scores[scores.equipment_id == f"SKAB-{file.stem}"]
        recorded = pd.read_csv(file, sep=";")
        times = pd.to_datetime(recorded["datetime"])
        landed, first = replayed(runner, f"SKAB-{file.stem}", began)
        times += first - times.iloc[0]
        labels = pd.Series(recorded["anomaly"].to_numpy(), index=times)
        ends, inside = label(machine.window_end, labels, times.iloc[KNOWN_GOOD_ROWS])
        values = machine.set_index("window_end").anomaly_score.loc[ends].to_numpy(float)
        readings = int(recorded.drop(columns=["datetime", *LABELS]).count().sum())
        row = {"file": f"valve1/{file.name}", "readings": readings, "landed": landed}
        results.append(row | summary(values, inside))
    return results


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


def replay_files(runner: Runner, files: Sequence[Path]) -> None:
    """Serve the files over OPC UA from first to last sample while the worker lands them."""
    port, plant = free_port(), runner.settings.var / "skab.yml"
    serve = ["replay", *map(str, files), "--map", "maps/skab.yml", "--port", str(port), "--speed", str(REPLAY_SPEED)]
    with runner.running("simulator", *serve, "--write-plant", str(plant)) as replay:
        listening(port, replay)
        with runner.running("ingest", "run", "--plant", str(plant)):
            if replay.wait(timeout=1800) != 0:
                raise RuntimeError("the replay failed")


def replayed(runner: Runner, equipment_id: str, after: datetime) -> tuple[int, pd.Timestamp]:
    """How many good readings of a machine the replay landed, and its first source time (UTC, without zone)."""
    with connect(runner.settings, Role.TRANSFORM) as connection:
        row = connection.execute(
            """SELECT count(*), min(e.source_ts) FROM raw.sensor_events AS e JOIN raw.tags AS t USING (tag_id)
               WHERE t.equipment_id = %s AND e.source_ts >= %s AND e.origin = 'live' AND e.status = 0""",
            (equipment_id, after),
        ).fetchone()
    if row is None or row[1] is None:
        raise RuntimeError(f"nothing of {equipment_id} was landed by the replay")
    return row[0], pd.Timestamp(row[1]).tz_convert("UTC").tz_localize(None)


def nab(runner: Runner, folder: Path) -> list[dict[str, Any]]:
    """Backfill the machine, train on its first 15 % (NAB's probation), score its whole time line."""
    file = folder / "machine_temperature_system_failure.csv"
    times = pd.to_datetime(pd.read_csv(file)["timestamp"])
    probation = times.iloc[int(len(times) * PROBATION)]
    last_end = times.iloc[-1] + pd.Timedelta(minutes=1)
    first, trained, last = (f"{moment.isoformat()}Z" for moment in (times.iloc[0], probation, last_end))
    runner.run("ingest", "backfill", str(file), "--map", "maps/nab_machine_temperature.yml")
    runner.run("warehouse", "transform", "--moment", last, "--vars", json.dumps(NAB_VARS))
    runner.run("ml", "train", "--bootstrap", "--moment", trained)
    runner.run("ml", "score", "--from", first, "--to", last)

    scores = runner.scores()
    values, ends = scores.anomaly_score.to_numpy(float), scores.window_end
    inside = np.zeros(len(scores), dtype=bool)
    labelled = []
    for start, end in json.loads((folder / "windows.json").read_text())[file.name]:
        within = ((ends > pd.Timestamp(start)) & (ends <= pd.Timestamp(end))).to_numpy()
        inside |= within
        shown = ends[within & (values >= SHOWN)]
        labelled.append(
            {
                "from": str(pd.Timestamp(start)),
                "to": str(pd.Timestamp(end)),
                "highest": float(values[within].max()),
                "first_shown": None if shown.empty else str(shown.iloc[0]),
            }
        )
    judged = (ends > probation).to_numpy()
    return [
        {"file": file.name, "judged": "after the probation", "labelled": labelled}
        | summary(values[judged], inside[judged]),
        {"file": file.name, "judged": "the whole time line"} | summary(values, inside),
    ]


_OPENING = f"""# Scores on recorded readings

Written by `python -m bench.recorded --data ../shared/data`, bad figures included; `recorded.json` holds the same
unrounded. Every step is a command of the project in a warehouse of its own, with the settings that it ships with
except where it is said below.

A window is one machine and one minute that has readings. *Shown* is the share of windows that score {SHOWN} or more,
from where a recommendation is a candidate for the operator. ROC AUC is the chance that a window inside a label scores
higher than one outside; 0.5 is a coin.

What keeps labels out: they are not mapped columns, so they are never landed, and this script opens them only once every
score is in the warehouse. No row that is judged was trained on, but for the line that says *the whole time line*. Both
models are first models of a plant without any maintenance history, so only the unsupervised part speaks. Nothing was
tuned on these figures.
"""

_TEXTS = {
    "skab": f"""## SKAB valve1, replayed through OPC UA

Sixteen experiments of about 19 minutes on one water rig: all of them served at once by `simulator replay` at
{REPLAY_SPEED} times their speed, their spacing kept in the source timestamps, landed by `ingest run`. Every file is a
machine.

- The first {KNOWN_GOOD_ROWS} rows of a file (7 minutes, free of anomalies) are its machine's past, as in the
  benchmark's own protocol. They are backfilled without labels to each of the {PAST_DAYS} days before, because a
  baseline is made of closed days and training holds out the last fifth of its time. The copies add no knowledge: a
  machine is known from 7 minutes.
- `baseline_min_minutes` is {SKAB_VARS["baseline_min_minutes"]} here and 60 as shipped: an hour of past, which these
  files don't have.
- Judged are the minutes that begin after row {KNOWN_GOOD_ROWS}. One is inside when most of its rows are labelled.
  That is about a dozen minutes a file: single figures are rough, and as a replay ends at about now, minutes cut the
  recording elsewhere in every run, which moves them by up to a tenth. An hour's window never fills.
""",
    "nab": f"""## NAB machine temperature, backfilled

One temperature every 5 minutes for 79 days. Twelve timestamps occur twice: both readings are landed, the features take
one of them. The model is trained as of the end of the first {PROBATION:.0%} (the benchmark's probation) and then scores
the whole time line.
The first labelled window lies in the probation, and nothing told the model so: it learnt it as normal.
A day is measured against the baseline that was closed on the day before, so later baselines have seen earlier
anomalies. The first two days have none: the first is an evening of 33 readings.

- `gold_days` is {NAB_VARS["gold_days"]} here, so that features are built for all of the file.
- A five-minute window holds one value, so its spread is 0, no minute can look stuck, and every window counts as lying
  over a gap: four of five minutes have no reading.
""",
}


def report(results: dict[str, list[dict[str, Any]]]) -> str:
    """The figures as the page docs/recorded.md."""
    lines = [_OPENING]
    for name, rows in results.items():
        lines += [
            _TEXTS[name],
            "| file | windows (inside) | median score inside | outside | shown inside | outside | ROC AUC |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            title = row["file"] + (f", {row['judged']}" if "judged" in row else "")
            keys = ("median_inside", "median_outside", "shown_inside", "shown_outside", "roc_auc")
            figures = " | ".join("–" if row[key] is None else f"{row[key]:.2f}" for key in keys)
            lines.append(f"| {title} | {row['windows']:,} ({row['windows_inside']:,}) | {figures} |")
        areas = [row["roc_auc"] for row in rows if row["roc_auc"] is not None]
        if name == "skab" and areas:
            recorded, landed = (sum(row[key] for row in rows) for key in ("readings", "landed"))
            lines += [
                "",
                f"ROC AUC over the files: median {np.median(areas):.2f}, {min(areas):.2f} to {max(areas):.2f}.",
                f"Readings in the files: {recorded:,}; landed by the replay: {landed:,}.",
            ]
        for row in rows:
            if "labelled" in row:
                lines += ["", "| labelled window | highest score | first shown |", "|---|---|---|"]
            for one in row.get("labelled", []):
                shown = one["first_shown"] or "never"
                lines.append(f"| {one['from'][:16]} to {one['to'][:16]} | {one['highest']:.2f} | {shown[:16]} |")
        lines.append("")
    return "\n".join(lines)


SETS = {"skab": skab, "nab": nab}


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main(
    data: Annotated[Path, typer.Option(help="folder with skab/ and nab/")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="folder to write recorded.md and recorded.json to")] = HOME / "docs",
    only: Annotated[str | None, typer.Option(help="skab or nab; nothing is written then")] = None,
) -> None:
    """Run both sets, each in a warehouse of its own, and write the report."""
    signal.signal(signal.SIGTERM, _end)  # as Ctrl-C does: what was started is stopped, what was written is removed
    if not all((data / name).is_dir() for name in SETS):
        raise typer.BadParameter(f"must hold the folders {' and '.join(SETS)}. Got: {data}", param_hint="--data")
    if only is not None and only not in SETS:
        raise typer.BadParameter(f"must be one of {', '.join(SETS)}. Got: {only!r}", param_hint="--only")
    data = data.resolve()
    results = {}
    for name in SETS if only is None else (only,):
        with tempfile.TemporaryDirectory(prefix=f"millwright-{name}-") as folder:
            Path(folder).chmod(0o755)  # as root, Postgres runs as a system user that has to get in
            settings = Settings(var=Path(folder), postgres_port=free_port(), mlflow_port=free_port())
            with server.running(settings):
                migrate(settings)
                results[name] = SETS[name](Runner(settings), data / name)
    typer.echo(json.dumps(results))
    if only is None:
        (out / "recorded.json").write_text(json.dumps(results, indent=2) + "\n")
        (out / "recorded.md").write_text(report(results))


if __name__ == "__main__":
    typer.run(main)
