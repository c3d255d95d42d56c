"""The whole project: it builds with its tests, and its generated contract is current."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from stack.steps import MINUTE_VIEWS
from tests.dbt.site import START
from warehouse import feature_contract
from warehouse.roles import Role, connect, passwords
from warehouse.settings import Settings
from warehouse.transform import MINUTE_PATH, PROJECT, build, invoke


def test_dbt_build_as_it_is_passes_on_an_empty_warehouse(warehouse: Settings, admin: psycopg.Connection) -> None:
    # The command line's build, unit tests and all; the project's own runs leave those out.
    variables = json.dumps({"moment": START.isoformat()})
    arguments = ["build", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--vars", variables]
    result = invoke(warehouse, [*arguments, "--quiet", "--log-level-file", "none"])
    assert result.succeeded, result.failures
    assert admin.execute("SELECT count(*) FROM marts.gold_ml_features").fetchone() == (0,)
    assert admin.execute("SELECT count(*) FROM ops.watermarks WHERE pipeline = 'transform'").fetchone() == (1,)


def test_two_runs_that_make_the_same_for_the_first_time_both_succeed(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    """Views, tables, increments and a test's failures: both runs find none there, for both wait at the first view."""
    blocked = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND usename = 'millwright_transform'"
    )
    select = "+mart_pipeline_metrics +int_activity_hours +assert_roll_ups_lose_no_reading"
    with connect(warehouse, Role.ADMIN) as other, ExitStack() as runs:
        other.execute("LOCK TABLE raw.cmms_errors")
        started = [
            runs.enter_context(command_line(warehouse, tmp_path / str(number), f"build --threads 1 --select {select}"))
            for number in range(2)
        ]
        while admin.execute(blocked).fetchone() != (2,):
            assert all(run.poll() is None for run in started), [run.communicate()[0] for run in started]
            time.sleep(0.05)
        other.rollback()
        printed = [run.communicate()[0] for run in started]
    assert [run.returncode for run in started] == [0, 0], "\n".join(printed)


def command_line(settings: Settings, folder: Path, arguments: str) -> subprocess.Popen[str]:
    """dbt of its own process, as a person calls it."""
    environment = os.environ | {
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGDATABASE": settings.pgdatabase,
        "MILLWRIGHT_PASSWORD_TRANSFORM": passwords(settings)[Role.TRANSFORM],
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    command = [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", *arguments.split()]
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_contract_of_gold_is_current() -> None:
    assert feature_contract.TARGET.read_text(encoding="utf-8") == feature_contract.current()


def test_a_plant_without_a_past_gets_its_first_minute_from_the_views_alone(warehouse: Settings) -> None:
    begun: list[tuple[str, int, int]] = []
    for select in (MINUTE_VIEWS, MINUTE_PATH):
        begun.clear()
        result = build(warehouse, START, select, tests=False, progress=lambda *node: begun.append(node))
        assert result.succeeded, result.failures
    assert "gold_ml_features" in {name for name, _, _ in begun}
    assert sorted(number for _, number, _ in begun) == list(range(1, begun[0][2] + 1))
