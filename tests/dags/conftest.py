"""Airflow on the test cluster: its metadata database migrated once, its environment that of the stack."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from stack.environment import environment
from warehouse.settings import HOME, Settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HOME / "tests" / "dags"):
            # Airflow, dbt and their plugins warn about each other; what they do is tested, not how they talk.
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def airflow(cluster: Settings) -> Iterator[Settings]:
    """Airflow imports its settings from the environment, once a process: they are those of the cluster."""
    added = environment(cluster)
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    subprocess.run(["airflow", "db", "migrate"], check=True, capture_output=True)
    yield cluster
    from airflow.settings import dispose_orm

    dispose_orm()  # before its server stops, or the connections are missed at exit
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="module", autouse=True)
def _no_session_left_open(airflow: Settings) -> Iterator[None]:
    """Airflow's session would sit in a transaction until the last test, and other tests end every connection."""
    yield
    from airflow.settings import Session, engine

    Session.remove()
    engine.dispose()
