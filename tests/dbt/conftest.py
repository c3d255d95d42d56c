"""A small plant in raw, and dbt runs over it that share one parse."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from warehouse.settings import Settings
from warehouse.transform import PROJECT, TransformResult, build


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first run leaves dbt's parse for the next one."""
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture
def transform(warehouse: Settings, parsed: Path) -> Callable[..., TransformResult]:
    """`transform(moment, select=None, full_refresh=False)`: a dbt run that has to succeed."""
    assert PROJECT.is_dir()
    kept = parsed / "partial_parse.msgpack"
    target = warehouse.var / "dbt" / "target"
    target.mkdir(parents=True, exist_ok=True)
    if kept.exists():
        shutil.copy(kept, target / kept.name)

    def run(moment: datetime, select: str | None = None, full_refresh: bool = False) -> TransformResult:
        result = build(warehouse, moment, select, full_refresh)
        if (target / kept.name).exists():
            shutil.copy(target / kept.name, kept)
        assert result.succeeded, result.failures
        return result

    return run


@pytest.fixture
def plant(admin: psycopg.Connection) -> psycopg.Connection:
    """Two machines: A with temperature, two vibrations, power as load and a run state; B with temperature."""
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
    return admin
