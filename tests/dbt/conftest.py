"""A small plant in raw, and dbt runs over it that share one parse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from tests.dbt.site import Site
from warehouse.roles import Role, connect
from warehouse.settings import Settings
from warehouse.transform import TransformResult


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first run leaves dbt's parse for the next one."""
    return tmp_path_factory.mktemp("dbt") / "partial_parse.msgpack"


def _furnish(admin: psycopg.Connection) -> None:
    admin.execute("INSERT INTO raw.plants VALUES ('P', 'Plant', 'Europe/Oslo')")
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type, load_measurement, rated_load) VALUES"
        " ('A', 'P', 'A', 'pump', 'power', 100), ('B', 'P', 'B', 'pump', NULL, NULL)"
    )
    admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, position, role, data_type, states) VALUES"
        " ('s', 'n1', 'A', 'temperature', '', 'measurement', 'double', '{}'),"
        " ('s', 'n2', 'A', 'vibration', 'DE', 'measurement', 'double', '{}'),"
        " ('s', 'n3', 'A', 'vibration', 'NDE', 'measurement', 'double', '{}'),"
        " ('s', 'n4', 'A', 'power', '', 'measurement', 'double', '{}'),"
        " ('s', 'n5', 'A', 'run_state', '', 'state', 'string', '{\"R\": \"running\", \"S\": \"stopped\"}'),"
        " ('s', 'n6', 'B', 'temperature', '', 'measurement', 'double', '{}')"
    )
    admin.execute("SELECT raw.ensure_partitions('2026-02-27Z', '2026-03-04Z')")


@pytest.fixture(scope="module")
def site(shared_warehouse: Settings, parsed: Path) -> Iterator[Site]:
    """One warehouse for the tests of a file: A with temperature, two vibrations, power as load and a run state; B
    with temperature. Each test takes hours of its own."""
    with connect(shared_warehouse, Role.ADMIN, autocommit=True) as admin:
        _furnish(admin)
        yield Site(shared_warehouse, admin, parsed)


@pytest.fixture
def transform(warehouse: Settings, admin: psycopg.Connection, parsed: Path) -> Callable[..., TransformResult]:
    """`transform(moment, select=None, full_refresh=False)`: a run over the test's own warehouse, tests included."""
    own = Site(warehouse, admin, parsed)

    def run(moment: datetime, select: str | None = None, full_refresh: bool = False) -> TransformResult:
        return own.transform(moment, select, full_refresh=full_refresh, tests=True)

    return run


@pytest.fixture
def plant(admin: psycopg.Connection) -> psycopg.Connection:
    """The same two machines in the test's own warehouse."""
    _furnish(admin)
    return admin
