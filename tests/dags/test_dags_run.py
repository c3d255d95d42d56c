"""Each DAG runs on a real warehouse with a few days of the demo plant in it, twice for the same moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ml.registry import Aliases
from stack.environment import environment
from stack.steps import STEPS, Context
from warehouse.data_docs import data_docs
from warehouse.migrate import create_databases
from warehouse.roles import Role, connect
from warehouse.settings import HOME, Settings

HISTORY_DAYS = 8
NAME = "test_dags"


@pytest.fixture(scope="module")
def lived_in(airflow: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A warehouse in which the demo's preparation has been done, on a short history that ends now."""
    with connect(airflow, Role.ADMIN, "postgres", autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(NAME), sql.Identifier(airflow.pgdatabase))
        )
        settings = airflow.model_copy(update={"pgdatabase": NAME})
        create_databases(settings)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (environment(settings) | {"PGDATABASE": NAME}).items():
                patch.setenv(name, value)
            until = datetime.now(UTC).replace(second=0, microsecond=0)
            context = Context(settings, until, HISTORY_DAYS, lambda stage, done, total: None)
            for name in ("plant", "mlflow", "history", "readings", "records", "past", "features", "model", "card"):
                STEPS[name].run(context)
            yield settings
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(NAME)))


@pytest.fixture
def look(lived_in: Settings) -> Iterator[psycopg.Connection]:
    with connect(lived_in, Role.ADMIN, autocommit=True) as connection:
        yield connection


def ended(name: str, moment: datetime) -> dict[str, str]:
    """One run of the DAG in this process, each task tried once; the tasks' states when it has ended."""
    from airflow.dag_processing.dagbag import DagBag

    dag = DagBag(HOME / "dags" / f"{name}.py").dags[name]
    for task in dag.tasks:
        task.retries = 0
    finished = dag.test(logical_date=moment)
    states = {instance.task_id: str(instance.state) for instance in finished.get_task_instances()}
    assert (str(finished.state) == "success") == (set(states.values()) <= {"success", "skipped"}), states
    return states


def run(name: str, moment: datetime) -> None:
    """The same, and every task has to succeed."""
    states = ended(name, moment)
    assert set(states.values()) == {"success"}, states


def one(connection: psycopg.Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def this_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def test_score_minutely_scores_each_window_once(lived_in: Settings, look: psycopg.Connection) -> None:
    run("score_minutely", this_minute())
    scored = one(look, "SELECT count(*) FROM ml.scores WHERE role = 'champion'")
    assert scored > 0
    run("score_minutely", this_minute())
    doubled = "SELECT count(*) - count(DISTINCT (equipment_id, window_end)) FROM ml.scores WHERE superseded_at IS NULL"
    assert one(look, doubled) == 0


def test_score_minutely_waits_for_a_first_model_without_failing(
    lived_in: Settings, look: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = "SELECT count(*) FROM ops.transform_runs WHERE succeeded"
    before = one(look, built)
    monkeypatch.setattr("ml.registry.aliases", lambda settings: Aliases({}, registry_away=False))
    states = ended("score_minutely", this_minute())
    assert states == {"features": "success", "score": "skipped", "publish": "skipped"}
    assert one(look, built) == before + 1, "the features go on"


def test_sync_feedback_brings_each_answer_once(lived_in: Settings, look: psycopg.Connection) -> None:
    run("sync_feedback", this_minute())
    run("sync_feedback", this_minute() + timedelta(minutes=5))
    answers = one(look, "SELECT count(*) FROM serving.operator_answers")
    assert answers > 0
    assert one(look, "SELECT count(*) FROM raw.operator_feedback") == answers


def test_retrain_weekly_ends_in_a_decision_of_the_gate(lived_in: Settings, look: psycopg.Connection) -> None:
    run("retrain_weekly", this_minute())
    assert one(look, "SELECT count(*) FROM ml.promotions WHERE gate = 'challenger' AND criterion = 'decision'") == 1
    assert one(look, "SELECT count(*) FROM ops.data_quality_results WHERE checkpoint = 'training_set'") > 0


def test_promote_challenger_leaves_a_champion(lived_in: Settings, look: psycopg.Connection) -> None:
    run("promote_challenger", this_minute())
    assert one(look, "SELECT count(*) FROM ml.promotions WHERE gate IN ('first_model', 'promote') AND passed") >= 1


def test_drift_daily_holds_the_day_against_the_champion(lived_in: Settings, look: psycopg.Connection) -> None:
    moment = this_minute()
    run("drift_daily", moment)
    figures = one(look, "SELECT count(*) FROM ml.drift WHERE equipment_id = ''")
    assert figures > 0
    assert one(look, "SELECT count(*) FROM ops.data_quality_results WHERE checkpoint = 'drift'") > 0
    assert "Drift: " in (lived_in.var / "docs" / "drift" / f"{moment:%Y-%m-%d}.html").read_text()


def test_warehouse_daily_builds_and_tests_everything(lived_in: Settings, look: psycopg.Connection) -> None:
    run("warehouse_daily", this_minute())
    assert one(look, "SELECT count(*) FROM marts.mart_equipment_health") > 0
    assert one(look, "SELECT count(*) FROM ops.data_quality_results WHERE checkpoint = 'raw_landings'") > 0


def test_a_failed_checkpoint_holds_back_training_and_not_scoring(lived_in: Settings, look: psycopg.Connection) -> None:
    trained = one(look, "SELECT count(*) FROM ml.training_runs")
    look.execute("SELECT raw.ensure_partitions(now(), now() + interval '1 day')")
    look.execute(
        "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at) "
        "SELECT min(tag_id), now() + interval '3 hours', 1, 0, 1, 'live', now() FROM raw.tags"
    )
    # The marts that people look at are built all the same, and the page says what was found.
    assert ended("warehouse_hourly", this_minute()) == {"check_landings": "failed", "build": "success"}
    assert one(look, "SELECT count(*) FROM marts.dim_equipment") > 0
    assert "no live reading is more than a minute ahead" in data_docs(lived_in).read_text()
    states = ended("retrain_weekly", this_minute())
    assert states["check_landings"] == "failed" and states["train"] == "upstream_failed"
    assert one(look, "SELECT count(*) FROM ml.training_runs") == trained
    run("score_minutely", this_minute())
    look.execute("DELETE FROM raw.sensor_events WHERE source_ts > now() + interval '2 hours'")


def test_maintenance_daily_makes_the_partitions_of_the_days_to_come(
    lived_in: Settings, look: psycopg.Connection
) -> None:
    run("maintenance_daily", this_minute())
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y%m%d}"
    assert one(look, f"SELECT to_regclass('raw.sensor_events_{tomorrow}') IS NOT NULL")
    assert Path(os.environ["AIRFLOW_HOME"]).is_dir()
