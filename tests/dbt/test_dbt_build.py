"""The whole project: it builds with its tests, and its generated contract is current."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from stack.steps import MINUTE_VIEWS
from tests.dbt.site import START
from warehouse import feature_contract
from warehouse.roles import Role, connect
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


def test_a_run_that_waited_for_another_knows_what_that_one_made(warehouse: Settings, admin: psycopg.Connection) -> None:
    admin.autocommit = True
    admin.execute("SELECT pg_advisory_lock(hashtext('millwright dbt'))")
    arguments = ["run", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--select", "stg_plants"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(invoke, warehouse, [*arguments, "--quiet", "--log-level-file", "none"])
        asked = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
            " AND usename = 'millwright_transform'"
        )
        while admin.execute(asked).fetchone() == (0,):
            assert not waiting.done(), waiting.result().failures
            time.sleep(0.05)
        with connect(warehouse, Role.TRANSFORM, autocommit=True) as other:
            other.execute("CREATE SCHEMA IF NOT EXISTS staging")
            other.execute("CREATE VIEW staging.stg_plants AS SELECT * FROM raw.plants")
        admin.execute("SELECT pg_advisory_unlock(hashtext('millwright dbt'))")
        result = waiting.result()
    assert result.succeeded, result.failures


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
