"""A dump and a restore bring everything back, watermarks included, into the same cluster or another one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from warehouse import server
from warehouse.backup import MANIFEST, WAREHOUSE, dump, restore
from warehouse.errors import WarehouseError
from warehouse.migrate import create_databases, missing
from warehouse.partitions import keep_raw
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MOMENT = datetime(2026, 6, 15, 10, 30, tzinfo=UTC)
# What a run of the transform asks for: what this snapshot sees and the last one didn't.
NEW = (
    "SELECT count(*) FROM raw.sensor_events AS e, ops.watermarks AS w"
    " WHERE w.system_identifier = (SELECT system_identifier FROM pg_control_system())"
    " AND e.landed_xid >= pg_snapshot_xmin(w.snapshot) AND NOT pg_visible_in_snapshot(e.landed_xid, w.snapshot)"
)
WATERMARK = (
    "INSERT INTO ops.watermarks (pipeline, snapshot, system_identifier, moment)"
    " SELECT 'transform', pg_current_snapshot(), system_identifier, %s FROM pg_control_system()"
    " ON CONFLICT (pipeline) DO UPDATE SET snapshot = excluded.snapshot, system_identifier = excluded.system_identifier"
)


@pytest.fixture(scope="module")
def elsewhere(shared_folder: Path) -> Iterator[Settings]:
    """Another cluster, with nothing in it."""
    settings = Settings(var=shared_folder, postgres_port=server.free_port())
    with server.running(settings):
        yield settings


@pytest.fixture
def filled(warehouse: Settings, admin: psycopg.Connection) -> Settings:
    """A plant with rolled-up readings, a watermark, and one reading that landed after it."""
    admin.execute("INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('mine', 'Mine', 'UTC')")
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES ('P', 'mine', 'Pump', 'pump')"
    )
    admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, data_type)"
        " VALUES ('s', 'nsu=u;s=T', 'P', 'temperature', 'double')"
    )
    admin.execute("SELECT raw.ensure_partitions(%s, %s)", (MOMENT - timedelta(days=40), MOMENT))
    land(admin, MOMENT - timedelta(days=40), 100)
    with connect(warehouse, Role.TRANSFORM) as dbt:
        dbt.execute(
            "CREATE TABLE intermediate.int_sensor_minutes AS SELECT tag_id, date_trunc('minute', source_ts) AS minute,"
            " count(*)::integer AS reading_count, pg_current_xact_id() AS built_xid FROM raw.sensor_events"
            " GROUP BY 1, 2"
        )
        dbt.execute(WATERMARK, (MOMENT,))
    land(admin, MOMENT, 1)
    return warehouse


def land(admin: psycopg.Connection, since: datetime, readings: int) -> None:
    admin.execute(
        "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at)"
        " SELECT 1, %(since)s::timestamptz + n * interval '1 second', n, 0, n, 'live', %(since)s"
        " FROM generate_series(1, %(readings)s) AS n",
        {"since": since, "readings": readings},
    )


@pytest.fixture
def target(cluster: Settings) -> Iterator[Settings]:
    """A database of the same cluster that doesn't exist yet."""
    settings = cluster.model_copy(update={"pgdatabase": "restored"})
    yield settings
    with connect(cluster, Role.ADMIN, "postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier("restored")))


def one(settings: Settings, query: str, role: Role = Role.ADMIN) -> object:
    with connect(settings, role) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_in_the_same_cluster_only_what_was_new_is_new(filled: Settings, target: Settings, tmp_path: Path) -> None:
    seen: list[int] = []
    made = dump(filled, tmp_path / "backup", lambda what, done, total: seen.append(done))
    assert seen and made.size > 0
    restore(target, tmp_path / "backup")
    assert missing(target) == []
    for query in (
        "SELECT count(*) FROM raw.sensor_events",
        "SELECT count(*) FROM intermediate.int_sensor_minutes",
        NEW,
    ):
        assert one(target, query) == one(filled, query)
    assert one(target, NEW) == 1
    # Each role has what it had, on a database of another name too.
    assert one(target, "SELECT count(*) FROM raw.sensor_events", Role.SCORE) == 101
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one(target, "SELECT count(*) FROM raw.sensor_events", Role.OPERATOR)
    assert one(target, "SELECT tableowner FROM pg_tables WHERE tablename = 'int_sensor_minutes'") == (
        "millwright_transform"
    )


def test_another_cluster_reads_everything_once_and_then_only_what_is_new(
    filled: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    dump(filled, tmp_path / "backup")
    with connect(filled, Role.ADMIN, autocommit=True) as admin:
        # The old cluster is further than the new one will be for a long time.
        admin.execute("UPDATE raw.sensor_events SET landed_xid = '4000000000'::xid8 WHERE source_ts < %s", (MOMENT,))
    dump(filled, tmp_path / "further")
    restore(elsewhere, tmp_path / "further")
    assert one(elsewhere, NEW) == 0  # no watermark of this cluster: a run reads everything
    assert one(elsewhere, "SELECT count(*) FROM raw.sensor_events WHERE landed_xid >= pg_current_xact_id()") == 0
    with connect(elsewhere, Role.TRANSFORM) as dbt:
        dbt.execute(WATERMARK, (MOMENT,))
    assert one(elsewhere, NEW) == 0
    with connect(elsewhere, Role.ADMIN) as admin:
        land(admin, MOMENT + timedelta(hours=1), 3)
    assert one(elsewhere, NEW) == 3
    assert len(keep_raw(elsewhere, MOMENT).dropped) == 10  # those past retention, which are rolled up
    with pytest.raises(WarehouseError, match=r"database millwright holds a warehouse \(1 tags\)"):
        restore(elsewhere, tmp_path / "backup")


def test_models_that_are_there_already_stay(filled: Settings, target: Settings, tmp_path: Path) -> None:
    with connect(filled, Role.MLFLOW, "mlflow") as mlflow:
        mlflow.execute("CREATE TABLE IF NOT EXISTS registered_models (name text)")
        count = mlflow.execute("SELECT count(*) FROM registered_models").fetchone()
        mine = count == (0,)
        if mine:
            mlflow.execute("INSERT INTO registered_models (name) VALUES ('champion')")
    dump(filled, tmp_path / "backup")
    _, models = restore(target, tmp_path / "backup")
    assert not models
    assert one(target, "SELECT count(*) FROM raw.tags") == 1
    if mine:
        with connect(filled, Role.MLFLOW, "mlflow") as mlflow:
            mlflow.execute("DROP TABLE registered_models")


def test_a_folder_that_is_no_dump_is_refused(filled: Settings, target: Settings, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="isn't a dump of"):
        restore(target, tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    with pytest.raises(WarehouseError, match="isn't empty"):
        dump(filled, tmp_path / "full")
    dump(filled, tmp_path / "backup")
    manifest = tmp_path / "backup" / MANIFEST
    written = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(written | {"migration": "9999_later"}))
    with pytest.raises(WarehouseError, match="is of a newer version"):
        restore(target, tmp_path / "backup")
    manifest.write_text(json.dumps(written | {"owner": "postgres"}))
    with pytest.raises(WarehouseError, match="belongs to the role postgres"):
        restore(target, tmp_path / "backup")
    manifest.write_text(json.dumps(written))
    archive = tmp_path / "backup" / WAREHOUSE
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(WarehouseError, match="pg_restore failed"):
        restore(target, tmp_path / "backup")
    assert one(target, "SELECT count(*) FROM pg_database WHERE datname = 'millwright_restoring'") == 0


def test_a_database_in_use_is_not_replaced(filled: Settings, target: Settings, tmp_path: Path) -> None:
    dump(filled, tmp_path / "backup")
    create_databases(target)
    with connect(target, Role.ADMIN), pytest.raises(WarehouseError, match="database restored is in use"):
        restore(target, tmp_path / "backup")
    restore(target, tmp_path / "backup")
    assert one(target, "SELECT count(*) FROM raw.tags") == 1
