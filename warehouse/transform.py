"""One dbt run: raw → staging → intermediate → marts, as the role that may only transform."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from warehouse.errors import WarehouseError
from warehouse.roles import Role, connect, passwords
from warehouse.settings import HOME, Settings

Progress = Callable[[str, int, int], None]
PROJECT = HOME / "dbt_project"
MINUTE_PATH = "tag:minute"
# How long a minute waits for another run to be done with one of the minute's models. Longer, and the next is due.
MINUTE_WAIT_S = 60.0
_ENVIRONMENT = threading.Lock()


@dataclass(frozen=True)
class TransformResult:
    """What a run came to: wall time in seconds, a line per model or test that failed or warned, what Postgres took.

    `sql_seconds` sums the statements of each model, as its connection saw them; those that belong to no model, such as
    the pinning of the snapshot, are under ''. Two models run at a time, so that the sum may exceed the wall time.
    """

    succeeded: bool
    seconds: float
    failures: list[str] = field(default_factory=list)
    sql_seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@contextmanager
def _environment(settings: Settings, moment: datetime | None, holds_minute: bool) -> Iterator[None]:
    """dbt reads its profile and its paths from the environment of the process; it is put back afterwards.

    Nothing is written beside the sources: target and logs go under `var`. The run's moment comes this way too, and
    whether the minute's tables are held for it: a var that differs from the last run's makes dbt parse the whole
    project anew.
    """
    wanted = {
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGDATABASE": settings.pgdatabase,
        "MILLWRIGHT_PASSWORD_TRANSFORM": passwords(settings)[Role.TRANSFORM],
        "DBT_TARGET_PATH": str(settings.var / "dbt" / "target"),
        "DBT_LOG_PATH": str(settings.var / "dbt" / "logs"),
    }
    if moment is not None:
        wanted["MILLWRIGHT_MOMENT"] = moment.isoformat()
    if holds_minute:
        wanted["MILLWRIGHT_HOLDS_MINUTE"] = "1"
    with _ENVIRONMENT:
        before = {key: os.environ.get(key) for key in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value


def build(
    settings: Settings,
    moment: datetime,
    select: str | None = None,
    full_refresh: bool = False,
    variables: Mapping[str, object] | None = None,
    tests: bool = True,
    progress: Progress = lambda node, number, total: None,
) -> TransformResult:
    """Run `dbt build` for `moment` (aware), on the nodes that `select` names or on all.

    `variables` stand in for those of `dbt_project.yml`, for this run only. Without `tests` it is the models alone, for
    a first build that someone waits for; unit tests are for developers and never part of it. `progress` hears of each
    node as it is begun: its name, the how manyth it is, and of how many.

    A model or test that fails is in the result; a run that could not start (no database, a broken project, another run
    at the minute's tables for MINUTE_WAIT_S seconds) raises WarehouseError.
    """
    arguments = [
        "build", *_common(variables),
        "--cache-selected-only",  # of other schemas there is nothing to know
    ]  # fmt: skip
    if select:
        arguments += ["--select", *select.split()]
    if full_refresh:
        arguments.append("--full-refresh")
    for kind in ("unit_test",) if tests else ("unit_test", "test"):
        arguments += ["--exclude-resource-type", kind]
    with _alone(settings, select):
        return invoke(settings, arguments, moment, progress, holds_minute=select == MINUTE_PATH)


@contextmanager
def _alone(settings: Settings, select: str | None) -> Iterator[None]:
    """A minute holds the minute's tables from its first model to its last; of other runs, one is made at a time.

    Those make the minute's models too, but for minutes of time: they hold the tables for one model after the other
    (`load_cached_relation` of dbt), so that a minute gets its turn in between and is never interrupted itself. So does
    dbt's own command line, which waits for no run and keeps none waiting for longer than one model.
    """
    try:
        connection = connect(settings, Role.TRANSFORM, autocommit=True)
    except psycopg.OperationalError:
        yield  # dbt says what is wrong
        return
    with connection:
        if select == MINUTE_PATH:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{MINUTE_WAIT_S * 1000:.0f}ms",))
            try:
                connection.execute("SELECT pg_advisory_lock(hashtext('millwright minute'))")
            except psycopg.errors.LockNotAvailable as error:
                raise WarehouseError(
                    f"another run of dbt has been at one of the minute's tables for {MINUTE_WAIT_S:g} s:"
                    " the next minute takes up what this one left"
                ) from error
        else:
            connection.execute("SELECT pg_advisory_lock(hashtext('millwright dbt'))")
        yield


def parse(settings: Settings, variables: Mapping[str, object] | None = None) -> TransformResult:
    """Read the whole project, which a later `build` with the same `variables` needn't do again; asks no database."""
    return invoke(settings, ["parse", *_common(variables)])


def _common(variables: Mapping[str, object] | None) -> list[str]:
    return [
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT),
        "--vars", json.dumps(dict(variables or {})), "--quiet", "--no-use-colors",
        "--log-level-file", "none",  # failures come back in the result; dbt never closes its log file
        "--no-write-json",  # nobody reads two megabytes of manifest, twice a run
    ]  # fmt: skip


def invoke(
    settings: Settings,
    arguments: list[str],
    moment: datetime | None = None,
    progress: Progress = lambda node, number, total: None,
    holds_minute: bool = False,
) -> TransformResult:
    """One dbt command in this process; the second one is faster, for dbt is imported by then.

    Without a `moment` it works for that of `--vars`, else for the time of its start. `holds_minute`: the caller keeps
    other runs from the minute's tables.
    """
    from dbt.cli.main import dbtRunner

    sql_seconds: defaultdict[str, float] = defaultdict(float)

    def hear(event: Any) -> None:
        if event.info.name == "SQLQueryStatus":
            sql_seconds[event.data.node_info.node_name] += event.data.elapsed
        elif event.info.name == "LogStartLine":
            progress(event.data.node_info.node_name, event.data.index, event.data.total)

    started = time.monotonic()
    with _environment(settings, moment, holds_minute):
        outcome = dbtRunner(callbacks=[hear]).invoke(arguments)
    seconds = time.monotonic() - started
    if outcome.exception is not None:
        raise WarehouseError(f"dbt {arguments[0]} did not run: {_line(str(outcome.exception))}")
    failures = _lines(outcome.result, "error", "fail", "runtime error")
    warnings = _lines(outcome.result, "warn")
    return TransformResult(bool(outcome.success), seconds, failures, dict(sql_seconds), warnings)


def _lines(result: Any, *statuses: str) -> list[str]:
    results = getattr(result, "results", None) or []
    return [
        f"{one.node.name}: {_line(one.message or str(one.status))}" for one in results if str(one.status) in statuses
    ]


def _line(message: str) -> str:
    """A message of many lines as one."""
    return " ".join(message.split())[:500]
