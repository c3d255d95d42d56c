"""Partitions are made ahead, and go only when nothing in them is still needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from warehouse.partitions import maintain, partition_name
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MOMENT = datetime(2026, 6, 15, 10, 30, tzinfo=UTC)
OLD = MOMENT - timedelta(days=40)


@pytest.fixture
def tag(admin: psycopg.Connection) -> int:
    """A temperature tag, and the roll-up table as dbt leaves it: owned by the transform role."""
    admin.execute("INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('mine', 'Mine', 'UTC')")
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES ('PUMP-1', 'mine', 'Pump', 'pump')"  # noqa: E501
    )
    row = admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, data_type) "
        "VALUES ('s', 'nsu=u;s=T', 'PUMP-1', 'temperature', 'double') RETURNING tag_id"
    ).fetchone()
    assert row is not None
    return int(row[0])


def roll_up(warehouse: Settings) -> None:
    """What one run of the transform leaves behind: the minutes, and a watermark that sees what was there."""
    with connect(warehouse, Role.TRANSFORM) as dbt:
        dbt.execute("CREATE TABLE IF NOT EXISTS intermediate.int_sensor_minutes (tag_id integer, minute timestamptz)")
        dbt.execute(
            "INSERT INTO intermediate.int_sensor_minutes "
            "SELECT DISTINCT tag_id, date_trunc('minute', source_ts) FROM raw.sensor_events"
        )
        dbt.execute(
            "INSERT INTO ops.watermarks (pipeline, snapshot, system_identifier, moment) "
            "SELECT 'transform', pg_current_snapshot(), system_identifier, %s FROM pg_control_system() "
            "ON CONFLICT (pipeline) DO UPDATE SET snapshot = excluded.snapshot, system_identifier = excluded.system_identifier",  # noqa: E501
            (MOMENT,),
        )


def land(warehouse: Settings, tag: int, source_ts: datetime, value: float = 20.0) -> None:
    with connect(warehouse, Role.INGEST) as ingest:
        ingest.execute("SELECT raw.ensure_partitions(%(ts)s, %(ts)s)", {"ts": source_ts})
        ingest.execute(
            "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at) "
            "VALUES (%s, %s, %s, 0, %s, 'backfill', %s)",
            (tag, source_ts, value, int(value * 1000), source_ts),
        )


def partitions(admin: psycopg.Connection) -> set[str]:
    rows = admin.execute("SELECT relname FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid WHERE relkind = 'r'")
    return {name for (name,) in rows if name.startswith("sensor_events_")}


def test_a_week_is_made_ahead_once(warehouse: Settings, admin: psycopg.Connection) -> None:
    first = maintain(warehouse, MOMENT)
    assert first.made == 9  # yesterday, today, seven ahead
    assert partitions(admin) == {partition_name((MOMENT + timedelta(days=d)).date()) for d in range(-1, 8)}
    assert maintain(warehouse, MOMENT).made == 0


def test_backfilled_readings_stay_until_they_are_rolled_up(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    land(warehouse, tag, OLD)
    name = partition_name(OLD.date())
    assert maintain(warehouse, MOMENT).kept == {name: "the transform has not run in this cluster yet"}

    roll_up(warehouse)
    land(warehouse, tag, OLD + timedelta(minutes=1))
    assert maintain(warehouse, MOMENT).kept == {name: "1 rows that the transform has not seen yet"}

    # Seen by the watermark but absent from the roll-up: the roll-up would lose it for ever.
    roll_up(warehouse)
    admin.execute("DELETE FROM intermediate.int_sensor_minutes WHERE minute > %s", (OLD,))
    assert maintain(warehouse, MOMENT).kept == {name: "1 tag-minutes that are not rolled up"}

    roll_up(warehouse)
    done = maintain(warehouse, MOMENT)
    assert done.dropped == [name] and done.kept == {}
    assert name not in partitions(admin)
    assert maintain(warehouse, MOMENT).dropped == []


def test_rows_of_an_open_transaction_keep_their_partition(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    land(warehouse, tag, OLD)
    roll_up(warehouse)
    with connect(warehouse, Role.INGEST) as slow:
        slow.execute(
            "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at) "
            "VALUES (%s, %s, 1, 0, 7, 'backfill', %s)",
            (tag, OLD, OLD),
        )
        kept = maintain(warehouse, MOMENT).kept
        assert kept == {partition_name(OLD.date()): "in use for more than 2s"}
    assert admin.execute("SELECT count(*) FROM raw.sensor_events").fetchone() == (2,)


def test_a_watermark_of_another_cluster_proves_nothing(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    land(warehouse, tag, OLD)
    roll_up(warehouse)
    admin.execute("UPDATE ops.watermarks SET system_identifier = 1")
    assert maintain(warehouse, MOMENT).dropped == []


def test_retention_is_a_setting_and_its_edge_day_stays(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    edge = MOMENT - timedelta(days=5)
    land(warehouse, tag, edge)
    land(warehouse, tag, edge - timedelta(days=1))
    roll_up(warehouse)
    settings = warehouse.model_copy(update={"raw_retention_days": 5})
    assert maintain(settings, MOMENT).dropped == [partition_name((edge - timedelta(days=1)).date())]
    assert partition_name(edge.date()) in partitions(admin)


def test_a_partition_can_be_made_while_a_long_query_reads(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    land(warehouse, tag, MOMENT)
    with connect(warehouse, Role.TRANSFORM) as reader:
        reader.execute("SELECT count(*) FROM raw.sensor_events")  # its lock is held until the transaction ends
        with connect(warehouse, Role.INGEST) as ingest:
            ingest.execute("SET lock_timeout = '2s'")
            assert ingest.execute("SELECT raw.ensure_partitions(%(t)s, %(t)s)", {"t": OLD}).fetchone() == (1,)


def test_small_tables_keep_what_is_within_their_days(warehouse: Settings, admin: psycopg.Connection) -> None:
    for days in (89, 91):
        at = MOMENT - timedelta(days=days)
        admin.execute(
            "INSERT INTO ops.pipeline_metrics (measured_at, stage, metric, value) VALUES (%s, 's', 'm', 1)", (at,)
        )
        admin.execute(
            "INSERT INTO raw.rejected_events (payload, reason, origin, rejected_at)"
            " VALUES (%s, 'text in a number', 'backfill', %s)",
            (str(days), at),
        )
    assert maintain(warehouse, MOMENT).deleted == {"raw.rejected_events": 1, "ops.pipeline_metrics": 1}
    assert maintain(warehouse, MOMENT).deleted == {"raw.rejected_events": 0, "ops.pipeline_metrics": 0}
