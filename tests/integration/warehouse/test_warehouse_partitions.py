"""Partitions are made ahead, and go only when nothing in them is still needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from warehouse.partitions import LATE, keep_marts, keep_raw, partition_name
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
        dbt.execute(
            "CREATE TABLE IF NOT EXISTS intermediate.int_sensor_minutes"
            " (tag_id integer, minute timestamptz, reading_count integer, UNIQUE (tag_id, minute))"
        )
        dbt.execute(
            "INSERT INTO intermediate.int_sensor_minutes AS m "
            "SELECT tag_id, date_trunc('minute', source_ts), count(DISTINCT source_ts) FROM raw.sensor_events "
            "GROUP BY 1, 2 ON CONFLICT (tag_id, minute) DO UPDATE "
            "SET reading_count = greatest(m.reading_count, excluded.reading_count)"
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
    first = keep_raw(warehouse, MOMENT)
    assert first.made == 9  # yesterday, today, seven ahead
    assert partitions(admin) == {partition_name((MOMENT + timedelta(days=d)).date()) for d in range(-1, 8)}
    assert keep_raw(warehouse, MOMENT).made == 0


def test_backfilled_readings_stay_until_they_are_rolled_up(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    land(warehouse, tag, OLD)
    name = partition_name(OLD.date())
    assert keep_raw(warehouse, MOMENT).kept == {name: "the transform has not run in this cluster yet"}

    roll_up(warehouse)
    land(warehouse, tag, OLD + timedelta(minutes=1))
    assert keep_raw(warehouse, MOMENT).kept == {name: "1 rows that the transform has not seen yet"}

    # Seen by the watermark but absent from the roll-up: the roll-up would lose it for ever.
    roll_up(warehouse)
    admin.execute("DELETE FROM intermediate.int_sensor_minutes WHERE minute > %s", (OLD,))
    assert keep_raw(warehouse, MOMENT).kept == {name: "1 tag-minutes that are not rolled up"}

    roll_up(warehouse)
    done = keep_raw(warehouse, MOMENT)
    assert done.dropped == [name] and done.kept == {}
    assert name not in partitions(admin)
    assert keep_raw(warehouse, MOMENT).dropped == []


def test_a_reading_that_its_minutes_others_are_gone_for_is_rejected_before_it_goes(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    """A minute of two readings; then one of them alone, both of another that is new, and the first two again."""
    rejected = "SELECT tag_id, source_ts, payload, kind, status, reason, origin, landed_at FROM raw.rejected_events"
    name = partition_name(OLD.date())
    second = timedelta(seconds=1)

    def bring(*readings: datetime) -> None:
        for at in readings:
            land(warehouse, tag, at)
        roll_up(warehouse)
        done = keep_raw(warehouse, MOMENT)
        assert done.dropped == [name] and done.kept == {}

    bring(OLD, OLD + second)
    bring(OLD + 2 * second, OLD + 90 * second, OLD + 91 * second)
    late = (tag, OLD + 2 * second, "20", "number", 0, LATE, "backfill", None)
    assert admin.execute(rejected).fetchall() == [late]
    # Landed by `ingest rejected retry`, it is turned away again; what comes whole is used.
    admin.execute("UPDATE raw.rejected_events SET landed_at = %s", (MOMENT,))
    bring(OLD + 2 * second)
    assert admin.execute(rejected).fetchall() == [late]
    bring(OLD, OLD + second)
    assert admin.execute(rejected).fetchall() == [late]


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
        kept = keep_raw(warehouse, MOMENT).kept
        assert kept == {partition_name(OLD.date()): "in use for more than 2s"}
    assert admin.execute("SELECT count(*) FROM raw.sensor_events").fetchone() == (2,)


def test_a_watermark_of_another_cluster_proves_nothing(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    land(warehouse, tag, OLD)
    roll_up(warehouse)
    admin.execute("UPDATE ops.watermarks SET system_identifier = 1")
    assert keep_raw(warehouse, MOMENT).dropped == []


def test_retention_is_a_setting_and_its_edge_day_stays(
    warehouse: Settings, admin: psycopg.Connection, tag: int
) -> None:
    edge = MOMENT - timedelta(days=5)
    land(warehouse, tag, edge)
    land(warehouse, tag, edge - timedelta(days=1))
    roll_up(warehouse)
    settings = warehouse.model_copy(update={"raw_retention_days": 5})
    assert keep_raw(settings, MOMENT).dropped == [partition_name((edge - timedelta(days=1)).date())]
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


def test_a_mart_by_the_day_is_kept_as_its_setting_says(warehouse: Settings, admin: psycopg.Connection) -> None:
    assert keep_marts(warehouse, MOMENT).made == 0  # nothing is built yet
    days = [(MOMENT - timedelta(days=n)).date() for n in (0, 30, 31, 89)]
    with connect(warehouse, Role.TRANSFORM) as dbt:
        for mart in ("silver_enriched_sensors", "gold_ml_features"):
            dbt.execute(f"CREATE TABLE marts.{mart} (window_end timestamptz) PARTITION BY RANGE (window_end)".encode())
            dbt.execute("SELECT ops.ensure_day_partitions(%s, %s)", (f"marts.{mart}", days))
            dbt.execute(f"INSERT INTO marts.{mart} SELECT unnest(%s::date[])".encode(), (days,))
    settings = warehouse.model_copy(update={"gold_retention_days": 80})
    done = keep_marts(settings, MOMENT)
    assert done.made == 2 * 8  # yesterday and seven ahead; today's is there
    assert [name[-8:] for name in done.dropped] == [f"{days[3]:%Y%m%d}", f"{days[2]:%Y%m%d}", f"{days[3]:%Y%m%d}"]
    assert keep_marts(settings, MOMENT) == type(done)()
    left = admin.execute("SELECT count(*) FROM marts.silver_enriched_sensors").fetchone()
    assert left == (2,)
    # A row of a day that went brings its day back, until the next time.
    with connect(warehouse, Role.TRANSFORM) as dbt:
        dbt.execute("SELECT ops.ensure_day_partitions('marts.gold_ml_features', %s)", (days[3:],))
    assert len(keep_marts(settings, MOMENT).dropped) == 1


def test_a_mart_of_an_older_version_stays_and_says_how_it_is_made_anew(
    warehouse: Settings, admin: psycopg.Connection
) -> None:
    with connect(warehouse, Role.TRANSFORM) as dbt:
        dbt.execute("CREATE TABLE marts.gold_ml_features (window_end timestamptz)")
    kept = keep_marts(warehouse, MOMENT).kept["marts.gold_ml_features"]
    assert kept.endswith("dbt build --full-refresh --select gold_ml_features makes it anew")


def test_a_mart_in_use_keeps_its_partition(warehouse: Settings, admin: psycopg.Connection) -> None:
    old = (MOMENT - timedelta(days=100)).date()
    with connect(warehouse, Role.TRANSFORM) as dbt:
        dbt.execute("CREATE TABLE marts.gold_ml_features (window_end timestamptz) PARTITION BY RANGE (window_end)")
        dbt.execute("SELECT ops.ensure_day_partitions('marts.gold_ml_features', %s)", ([old],))
    with connect(warehouse, Role.SCORE) as reader:
        reader.execute("SELECT count(*) FROM marts.gold_ml_features")
        assert list(keep_marts(warehouse, MOMENT).kept.values()) == ["in use for more than 2s"]
    assert len(keep_marts(warehouse, MOMENT).dropped) == 1
