"""The known DAGs load, and each says what it is and how it fails."""

from __future__ import annotations

import ast
from datetime import timedelta
from typing import Any

import pytest

from warehouse.settings import HOME, Settings

DAGS = {
    "drift_daily",
    "maintenance_daily",
    "promote_challenger",
    "retrain_weekly",
    "score_minutely",
    "sync_feedback",
    "tune_weekly",
    "warehouse_daily",
    "warehouse_hourly",
}


@pytest.fixture(scope="module")
def bag(airflow: Settings) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(HOME / "dags")


def test_the_known_dags_load_without_an_error(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == DAGS


@pytest.mark.parametrize("name", sorted(DAGS))
def test_a_dag_says_what_it_is_and_how_it_fails(bag: Any, name: str) -> None:
    dag = bag.dags[name]
    assert dag.doc_md is not None and dag.doc_md.strip().startswith("###")
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert isinstance(dag.dagrun_timeout, timedelta)
    for task in dag.tasks:
        assert task.doc_md or task.python_callable.__doc__, task.task_id
        assert task.retries >= 1, task.task_id
        assert isinstance(task.retry_delay, timedelta), task.task_id
        assert task.execution_timeout is not None and task.execution_timeout < dag.dagrun_timeout, task.task_id


def test_schedules_are_the_agreed_ones_in_the_plants_zone(bag: Any) -> None:
    from stack.zone import plant_zone

    assert bag.dags["score_minutely"].timetable.expression == "* * * * *"
    assert bag.dags["sync_feedback"].timetable.expression == "*/5 * * * *"
    assert bag.dags["warehouse_hourly"].timetable.expression == "7 * * * *"
    weekly = bag.dags["retrain_weekly"].timetable
    assert weekly.expression == "0 2 * * 0"
    assert bag.dags["tune_weekly"].timetable.expression == "0 2 * * 6", "the day before"
    assert str(getattr(weekly.timezone, "name", weekly.timezone)) == plant_zone()


@pytest.mark.parametrize("name", sorted(DAGS))
def test_a_dag_file_only_wires(name: str) -> None:
    path = HOME / "dags" / f"{name}.py"
    text = path.read_text()
    assert len(text.splitlines()) <= 80
    top = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom | ast.Import)]
    modules = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in top}
    assert modules <= {"datetime", "airflow.sdk", "stack.zone"}
