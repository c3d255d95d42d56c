"""The models' benchmarks: a minute of a large plant scored, published and explained; notifications; a retraining.

    python -m bench.scoring --json                     one object, a key a benchmark
    python -m bench.scoring --only score,notify --machines 1000

`score` puts one call a model beside a call a window on the same rows. `retrain` is `python -m ml train` in a process of
its own, on a feature mart of `--rows` rows made on the server. Postgres is one of its own with fsync and
synchronous_commit. `--quick` shows that everything runs; its figures are worth nothing.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, Final

import numpy as np
import psutil
import psycopg
import typer

from bench import mart
from bench.figures import AT_LEAST, AT_MOST, Expected, Figures, chosen, tell
from bench.throwaway import throwaway_warehouse
from ml import features, registry, scoring
from ml.recommending import explanations, publishing
from ml.scorecard import Scorecard
from warehouse.roles import Role, connect
from warehouse.settings import HOME, Settings

BENCHMARKS: Final = ("score", "notify", "retrain")
# On two cores; what falls short is explained in docs/performance.md.
EXPECTED: Final[Expected] = {
    "score": {"wall_s": (AT_MOST, 2), "ratio": (AT_LEAST, 10)},
    "notify": {"p99_ms": (AT_MOST, 50)},
    "retrain": {"wall_s": (AT_MOST, 600), "peak_mb": (AT_MOST, 8192)},
}
MOMENT: Final = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
FAILING_SHARE: Final = 0.01
NORMAL_ROWS: Final = 20_000
STEPS: Final = ("score_s", "publish_s", "explain_s", "cpu_s", "one_s", "rows_s")
MEGABYTE: Final = float(1 << 20)
VERSION: Final = "1"


def score(machines: int, rounds: int, quick: bool) -> Figures:
    """Medians over minutes of `machines` windows, one in a hundred failing, in a warm process as the schedule's is.

    `wall_s` is all of it: scored, published and, where something is shown, explained; `published_s` is until operators
    have it, `cpu_s` what this process used of a core for all of it, Postgres apart. `ratio` is a call of the model a
    window to one call, on the same windows, taking turns.
    """
    if quick:
        machines, rounds = min(machines, 20), 2
    with _plant(machines) as (settings, admin):
        taken: dict[str, list[float]] = {name: [] for name in STEPS}
        alerted = 0
        card = registry.load(settings, VERSION)
        for number in range(rounds + 1):
            end = MOMENT + timedelta(minutes=number)
            failing = max(1, round(machines * FAILING_SHARE))
            # Others fail every minute: of one machine only the first window is shown.
            mart.add_minute(admin, machines, end, number * failing + 1, failing)
            moment = end + timedelta(seconds=5)
            begun, cpu = time.perf_counter(), time.process_time()
            scored = scoring.score(settings, moment)
            scored_at = time.perf_counter()
            published = publishing.publish(settings, moment)
            published_at = time.perf_counter()
            explained = explanations.explain_new(settings, moment)
            over_at, cpu = time.perf_counter(), time.process_time() - cpu
            if scored.scored != machines or not published.shown or set(explained) != set(published.shown):
                raise RuntimeError(f"{machines} windows were to be scored, some shown and those explained: {published}")
            one, rows = _one_call_and_a_call_a_row(settings, card, end, number)
            if number == 0:  # imports, and the first plan of every query
                continue
            alerted += len(published.shown)
            for name, seconds in (
                ("score_s", scored_at - begun), ("publish_s", published_at - scored_at),
                ("explain_s", over_at - published_at), ("cpu_s", cpu), ("one_s", one), ("rows_s", rows),
            ):  # fmt: skip
                taken[name].append(seconds)
    walls = [sum(parts) for parts in zip(taken["score_s"], taken["publish_s"], taken["explain_s"], strict=True)]
    until_published = [sum(parts) for parts in zip(taken["score_s"], taken["publish_s"], strict=True)]
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "wall_s": statistics.median(walls),
        "ratio": medians["rows_s"] / medians["one_s"],
        "published_s": statistics.median(until_published),
        **medians,
        "windows": machines,
        "alerted": alerted / rounds,
        "rounds": rounds,
    }


def _one_call_and_a_call_a_row(settings: Settings, card: Scorecard, end: datetime, number: int) -> tuple[float, float]:
    """Seconds that the model takes for the windows that end at `end`, at once and one by one; each is first in turn."""
    with connect(settings, Role.SCORE) as connection:
        windows = features.read(
            connection, "FROM marts.gold_ml_features AS g WHERE g.window_end = %(end)s", {"end": end}
        )
    seconds: dict[str, float] = {}
    answers: dict[str, Any] = {}
    for way in sorted(("one", "rows"), reverse=bool(number % 2)):
        begun = time.perf_counter()
        if way == "one":
            answers[way] = card.score(windows.x, windows.equipment).anomaly
        else:
            each = [card.score(windows.x[i : i + 1], windows.equipment[i : i + 1]) for i in range(len(windows))]
            answers[way] = np.concatenate([scores.anomaly for scores in each])
        seconds[way] = time.perf_counter() - begun
    if not np.allclose(answers["one"], answers["rows"], atol=1e-9):
        raise RuntimeError("one call and a call a window were to give the same scores")
    return seconds["one"], seconds["rows"]


def notify(times: int, quick: bool) -> Figures:
    """From a recommendation's commit to its receipt by a LISTEN connection of the operator's role, a publication each.

    The commit's moment is Postgres' own (track_commit_timestamp), right before its flush, which is in the figure.
    """
    times = min(times, 5) if quick else times
    machines = 50
    with _plant(machines, "track_commit_timestamp = on") as (settings, admin):
        received: list[tuple[str, float]] = []
        ready, done = threading.Event(), threading.Event()
        listener = threading.Thread(target=_listen, args=(settings, received, ready, done))
        listener.start()
        try:
            if not ready.wait(10):
                raise RuntimeError("the listener doesn't listen")
            for number in range(times):
                end = MOMENT + timedelta(minutes=10 * (number // machines))
                admin.execute(
                    "INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code,"
                    " confidence, moment) VALUES (%s, %s, '1', 'champion', 0.99, 'schedule_maintenance', 0.9, %s)",
                    (mart.name(number % machines + 1), end, end),
                )
                if len(publishing.publish(settings, end).shown) != 1:
                    raise RuntimeError("one recommendation was to be shown")
                admin.execute("UPDATE serving.recommendations_serving SET status = 'expired' WHERE status = 'pending'")
            until = time.monotonic() + 10
            while len(received) < times and time.monotonic() < until:
                time.sleep(0.01)
        finally:
            done.set()
            listener.join(10)
        committed: dict[str, float] = dict(
            admin.execute(
                "SELECT recommendation_id, extract(epoch FROM pg_xact_commit_timestamp(r.xmin))::float8"
                " FROM ml.recommendations AS r WHERE shown_as IS NOT NULL"
            ).fetchall()
        )
    if len(received) != times:
        raise RuntimeError(f"{times} notifications were to come. Got: {len(received)}")
    milliseconds = [(at - committed[name]) * 1000 for name, at in received]
    return {
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "max_ms": max(milliseconds),
        "notifications": times,
    }


def _listen(
    settings: Settings, received: list[tuple[str, float]], ready: threading.Event, done: threading.Event
) -> None:
    with connect(settings, Role.OPERATOR, autocommit=True) as connection:
        connection.execute("LISTEN equipment_recommendations")
        ready.set()
        while not done.is_set():
            received.extend(
                (json.loads(note.payload)["recommendation_id"], time.time())
                for note in connection.notifies(timeout=0.2)
            )


def retrain(rows: int, quick: bool) -> Figures:
    """`python -m ml train --bootstrap` on `rows` feature rows with failures among them: wall time and largest memory.

    How much of them training reads and learns from is the policy's own subsampling, which the figures tell.
    """
    # Ten machines, so that the one that fails every ten days does within two of them.
    machines, rows = (mart.DAYS_BETWEEN_FAILURES, min(rows, 30_000)) if quick else (100, rows)
    with throwaway_warehouse() as settings:
        begun = time.perf_counter()
        with connect(settings, Role.ADMIN, autocommit=True) as admin:
            mart.make(settings, admin, machines, MOMENT, days=rows // machines // 1440 + 2)
            made = mart.add_history(admin, machines, rows // machines, MOMENT)
            admin.execute("ANALYZE")
        mart.make_training_set(settings, MOMENT)
        typer.echo(
            f"{made:,} feature rows of {machines} machines made in {time.perf_counter() - begun:.0f} s", err=True
        )
        wall, peak = _train(settings)
        with connect(settings, Role.SCORE) as connection:
            run = connection.execute(
                "SELECT training_rows, positive_rows, held_out_rows, outcome FROM ml.training_runs"
            ).fetchone()
    if run is None or run[3] != "trained":
        raise RuntimeError(f"a model was to be trained. Got: {run}")
    training, positive, held_out, _ = run
    return {
        "wall_s": wall,
        "peak_mb": peak,
        "rows": made,
        "training_rows": training,
        "positive_rows": positive,
        "held_out_rows": held_out,
        "used_share": (training + held_out) / made,
    }


def _train(settings: Settings) -> tuple[float, float]:
    """Seconds and the largest resident memory in MB, children included, sampled ten times a second."""
    store = settings.var / "mlflow.db"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
        "MILLWRIGHT_VAR": str(settings.var),
        "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port),
        "MLFLOW_TRACKING_URI": f"sqlite:///{store}",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }
    begun = time.perf_counter()
    command = [sys.executable, "-m", "ml", "train", "--bootstrap", "--moment", MOMENT.isoformat()]
    process = psutil.Popen(command, cwd=HOME, env=environment, stdout=sys.stderr)
    peak = 0.0
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family) / MEGABYTE)
        except psutil.NoSuchProcess:
            pass  # it ended between two looks
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"training ended with {process.returncode}")
    return time.perf_counter() - begun, peak


@contextmanager
def _plant(machines: int, configuration: str = "") -> Iterator[tuple[Settings, psycopg.Connection]]:
    """A warehouse with a plant, an hour of its features, a fitted champion, and a registry's answer to who that is."""
    with throwaway_warehouse(configuration) as settings, _registry() as port:
        settings = settings.model_copy(update={"mlflow_port": port})
        with connect(settings, Role.ADMIN, autocommit=True) as admin:
            mart.make(settings, admin, machines, MOMENT, days=2)
            mart.add_sensors(admin, MOMENT)
            admin.execute("VACUUM ANALYZE")
            mart.fit_champion(settings, VERSION, NORMAL_ROWS if machines > 100 else 4_000)
            yield settings, admin


class _Champion(BaseHTTPRequestHandler):
    """What MLflow's server answers to the minute's only question."""

    def do_GET(self) -> None:
        aliases = [{"alias": registry.CHAMPION, "version": VERSION}]
        body = json.dumps({"registered_model": {"name": registry.MODEL, "aliases": aliases}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _registry() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Champion)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    before = os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        yield server.server_port
    finally:
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before
        server.shutdown()
        server.server_close()
        thread.join()


def measure(
    names: tuple[str, ...], machines: int, rounds: int, rows: int, quick: bool
) -> tuple[dict[str, Figures], list[str]]:
    """The figures by benchmark, and the names of those that failed, whose tracebacks are on stderr."""
    figures: dict[str, Figures] = {}
    failed: list[str] = []
    for name in names:
        begun = time.monotonic()
        try:
            if name == "score":
                taken = score(machines, rounds, quick)
            elif name == "notify":
                taken = notify(200, quick)
            else:
                taken = retrain(rows, quick)
        except Exception:  # one that fails must not cost the figures of the others
            traceback.print_exc()
            failed.append(name)
            continue
        figures[name] = {figure: round(float(value), 4) for figure, value in taken.items()}
        typer.echo(f"{name}: {time.monotonic() - begun:.0f} s, {figures[name]}", err=True)
    return figures, failed


def main(
    as_json: Annotated[bool, typer.Option("--json", help="one object on stdout")] = False,
    only: Annotated[str, typer.Option(help=f"some of {', '.join(BENCHMARKS)}, with commas")] = ",".join(BENCHMARKS),
    machines: Annotated[int, typer.Option(min=2, help="machines of a minute, a window each")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="minutes that are measured; figures are medians")] = 9,
    rows: Annotated[int, typer.Option(min=1000, help="feature rows of a retraining")] = 5_000_000,
    quick: Annotated[bool, typer.Option(help="seconds instead of minutes, to see that it runs")] = False,
) -> None:
    """Measure the models' path; exit code 1 when a benchmark failed, 2 when there is none of a name."""
    names = chosen(only, BENCHMARKS)
    figures, failed = measure(names, machines, rounds, rows, quick)
    tell(figures, EXPECTED, failed, as_json)


if __name__ == "__main__":
    # What is ended from outside must end its servers too; Python's own way out of SIGTERM runs nothing.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    typer.run(main)
