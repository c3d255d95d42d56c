"""Day partitions of `raw.sensor_events`: made ahead, dropped when old and rolled up; retention of the small tables.

Runs as the admin: only a table's owner may detach and drop a partition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import errors, sql

from warehouse.roles import Role, connect
from warehouse.settings import Settings

PREFIX = "sensor_events_"
# A detach needs the parent table to itself for an instant. Landing waits behind it, so it gives up soon and is
# repeated the next day.
LOCK_TIMEOUT = "2s"

# Every row must be seen by the snapshot that the transform's watermark is; rows below its xmin all are.
UNSEEN = """
SELECT count(*) FROM raw.{partition}
WHERE landed_xid >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)
  AND NOT pg_visible_in_snapshot(landed_xid, %(snapshot)s::pg_snapshot)
"""
# And every minute must be in the roll-up, which is never rebuilt from raw wholesale. Counters are landed only.
NOT_ROLLED_UP = """
SELECT count(*) FROM (
    SELECT DISTINCT e.tag_id, date_trunc('minute', e.source_ts, 'UTC') AS minute
    FROM raw.{partition} AS e LEFT JOIN raw.tags AS t ON e.tag_id = t.tag_id
    WHERE t.role IS DISTINCT FROM 'counter'
) AS landed
WHERE NOT EXISTS (
    SELECT 1 FROM intermediate.int_sensor_minutes AS m
    WHERE m.tag_id = landed.tag_id AND m.minute = landed.minute
)
"""
# table, its clock, the field of Settings with its days
SMALL_TABLES = (
    ("raw", "rejected_events", "rejected_at", "rejected_retention_days"),
    ("ops", "pipeline_metrics", "measured_at", "metrics_retention_days"),
)


@dataclass(frozen=True)
class Maintenance:
    """What one run did."""

    made: int
    """partitions made ahead"""
    dropped: list[str] = field(default_factory=list)
    """names of the partitions that went, oldest first"""
    kept: dict[str, str] = field(default_factory=dict)
    """partitions past retention that stay, and why"""
    deleted: dict[str, int] = field(default_factory=dict)
    """rows that went, by small table"""


def maintain(settings: Settings, moment: datetime) -> Maintenance:
    """Make the partitions ahead of `moment` and let go what its retention has passed; safe to repeat.

    A partition goes by DETACH and DROP in one transaction, never by a delete, and only when the transform has seen
    every row of it and its minutes are rolled up: so a backfill of old readings stays until it has been used.
    """
    with connect(settings, Role.ADMIN, autocommit=True) as connection:
        row = connection.execute(
            "SELECT raw.ensure_partitions(%s, %s)",
            (moment - timedelta(days=1), moment + timedelta(days=settings.partitions_ahead_days)),
        ).fetchone()
        made = row[0] if row else 0
        dropped: list[str] = []
        kept: dict[str, str] = {}
        last_day = (moment.astimezone(UTC) - timedelta(days=settings.raw_retention_days)).date()
        for name in _partitions_before(connection, last_day):
            reason = _drop(connection, name)
            if reason is None:
                dropped.append(name)
            else:
                kept[name] = reason
        deleted = {
            f"{schema}.{table}": connection.execute(
                sql.SQL("DELETE FROM {} WHERE {} < %s").format(sql.Identifier(schema, table), sql.Identifier(clock)),
                (moment - timedelta(days=getattr(settings, days)),),
            ).rowcount
            for schema, table, clock, days in SMALL_TABLES
        }
    return Maintenance(made, dropped, kept, deleted)


def partition_name(day: date) -> str:
    """The partition of one UTC day, without its schema."""
    return f"{PREFIX}{day:%Y%m%d}"


def _partitions_before(connection: psycopg.Connection, day: date) -> list[str]:
    """Names of the partitions whose whole day lies before `day`, oldest first."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON i.inhrelid = c.oid "
        "WHERE i.inhparent = 'raw.sensor_events'::regclass AND c.relname < %s ORDER BY c.relname",
        (partition_name(day),),
    )
    return [name for (name,) in rows]


def _drop(connection: psycopg.Connection, name: str) -> str | None:
    """Drop one partition, or say why it stays."""
    partition = sql.Identifier(name)
    # The long look is taken without a lock; under it, only whether something landed since.
    row = connection.execute("SELECT pg_current_snapshot()::text").fetchone()
    looked = str(row[0]) if row else ""
    if reason := _why_kept(connection, partition):
        return reason
    try:
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
            # The parent first, as everyone who lands does: the other way round could deadlock with them.
            connection.execute("LOCK TABLE ONLY raw.sensor_events IN ACCESS EXCLUSIVE MODE")
            if _count(connection, UNSEEN, partition, snapshot=looked):
                return "late rows are landing"
            connection.execute(sql.SQL("ALTER TABLE raw.sensor_events DETACH PARTITION raw.{}").format(partition))
            connection.execute(sql.SQL("DROP TABLE raw.{}").format(partition))
    except errors.LockNotAvailable:
        return f"in use for more than {LOCK_TIMEOUT}"
    return None


def _why_kept(connection: psycopg.Connection, partition: sql.Identifier) -> str | None:
    if connection.execute(sql.SQL("SELECT 1 FROM raw.{} LIMIT 1").format(partition)).fetchone() is None:
        return None
    watermark = connection.execute(
        "SELECT w.snapshot::text FROM ops.watermarks AS w, pg_control_system() AS c "
        "WHERE w.pipeline = 'transform' AND w.system_identifier = c.system_identifier"
    ).fetchone()
    if watermark is None:
        return "the transform has not run in this cluster yet"
    unseen = _count(connection, UNSEEN, partition, snapshot=watermark[0])
    if unseen:
        return f"{unseen} rows that the transform has not seen yet"
    if connection.execute("SELECT to_regclass('intermediate.int_sensor_minutes')").fetchone() == (None,):
        return "intermediate.int_sensor_minutes is missing"
    waiting = _count(connection, NOT_ROLLED_UP, partition)
    return f"{waiting} tag-minutes that are not rolled up" if waiting else None


def _count(connection: psycopg.Connection, query: str, partition: sql.Identifier, **parameters: str) -> int:
    row = connection.execute(sql.SQL(query).format(partition=partition), parameters).fetchone()
    return int(row[0]) if row else 0
