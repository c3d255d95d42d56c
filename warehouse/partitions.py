"""Day partitions of the raw readings and of the marts that grow by the minute: made ahead, dropped past retention.

Only a table's owner may detach and drop a partition: the admin for `raw`, the transform for the marts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

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
SELECT count(*) FROM {partition}
WHERE landed_xid >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)
  AND NOT pg_visible_in_snapshot(landed_xid, %(snapshot)s::pg_snapshot)
"""
# And every minute must be in the roll-up, which is never rebuilt from raw wholesale. Counters are landed only.
# Where the roll-up was made of more readings than these, they came after the others had been dropped.
ROLLED_UP = """
SELECT
    count(*) FILTER (WHERE m.tag_id IS NULL AND t.role IS DISTINCT FROM 'counter') AS waiting,
    count(*) FILTER (WHERE m.reading_count > landed.reading_count) AS kept_as_they_were
FROM (
    SELECT tag_id, date_trunc('minute', source_ts, 'UTC') AS minute, count(*) AS reading_count
    FROM (SELECT DISTINCT tag_id, source_ts FROM {partition}) AS readings
    GROUP BY 1, 2
) AS landed
LEFT JOIN raw.tags AS t ON landed.tag_id = t.tag_id
LEFT JOIN intermediate.int_sensor_minutes AS m ON landed.tag_id = m.tag_id AND landed.minute = m.minute
"""
# Which the transform left out, for less never replaces more. `ingest rejected retry` may have landed one before.
REJECT_LATE = """
INSERT INTO raw.rejected_events
    (server, origin, tag_id, node_id, source_ts, server_ts, received_at, payload, kind, status, reason)
SELECT t.server, e.origin, e.tag_id, t.node_id, e.source_ts, e.server_ts, e.landed_at,
    coalesce(e.value_text, e.value::text),
    CASE WHEN e.value_text IS NOT NULL THEN 'text' WHEN e.value IS NOT NULL THEN 'number' ELSE 'null' END,
    e.status, %(reason)s
FROM {partition} AS e
INNER JOIN (
    SELECT tag_id, date_trunc('minute', source_ts, 'UTC') AS minute, count(DISTINCT source_ts) AS reading_count
    FROM {partition}
    GROUP BY 1, 2
) AS landed ON e.tag_id = landed.tag_id AND date_trunc('minute', e.source_ts, 'UTC') = landed.minute
INNER JOIN intermediate.int_sensor_minutes AS m ON landed.tag_id = m.tag_id AND landed.minute = m.minute
INNER JOIN raw.tags AS t ON e.tag_id = t.tag_id
WHERE m.reading_count > landed.reading_count
ON CONFLICT (server, tag_id, source_ts, status, origin, md5(reason || chr(31) || coalesce(payload, '')))
DO UPDATE SET landed_at = NULL
"""
LATE = "came after retention had dropped the other readings of its minute"
# mart partitioned by dbt → the field of Settings with its days
MARTS = {
    "marts.silver_enriched_sensors": "silver_retention_days",
    "marts.gold_ml_features": "gold_retention_days",
}


@dataclass(frozen=True)
class Partitions:
    """What became of one table's partitions, or of several tables'."""

    made: int = 0
    """partitions made ahead"""
    dropped: list[str] = field(default_factory=list)
    """names of the partitions that went, oldest first"""
    kept: dict[str, str] = field(default_factory=dict)
    """partitions past retention that stay, and why"""

    def __add__(self, other: Partitions) -> Partitions:
        return Partitions(self.made + other.made, self.dropped + other.dropped, self.kept | other.kept)


def keep_raw(settings: Settings, moment: datetime) -> Partitions:
    """Make the partitions of readings ahead of `moment` and let go what its retention has passed; safe to repeat.

    A partition goes by DETACH and DROP in one transaction, never by a delete, and only when the transform has seen
    every row of it and its minutes are rolled up: so a backfill of old readings stays until it has been used. Late
    readings of a minute whose others were dropped before can't be used: they become rows of `raw.rejected_events`.
    """
    with connect(settings, Role.ADMIN, autocommit=True) as connection:
        row = connection.execute(
            "SELECT raw.ensure_partitions(%s, %s)",
            (moment - timedelta(days=1), moment + timedelta(days=settings.partitions_ahead_days)),
        ).fetchone()
        made = row[0] if row else 0
        last_day = (moment.astimezone(UTC) - timedelta(days=settings.raw_retention_days)).date()
        parent = sql.Identifier("raw", "sensor_events")
        done = Partitions(made)
        for name, day in _partitions(connection, "raw.sensor_events"):
            if day < last_day:
                partition = sql.Identifier("raw", name)
                looked = _value(connection, "SELECT pg_current_snapshot()::text")
                # The long look is taken without a lock; under it, only whether something landed since.
                reason, late = _why_kept(connection, partition)
                reason = reason or _drop(connection, parent, partition, looked, late)
                done += Partitions(0, [name]) if reason is None else Partitions(kept={name: reason})
    return done


def keep_marts(settings: Settings, moment: datetime) -> Partitions:
    """The same for the marts that dbt partitioned; their rows can be built again from minutes, which are kept."""
    done = Partitions()
    with connect(settings, Role.TRANSFORM, autocommit=True) as connection:
        for mart, days in MARTS.items():
            kind = connection.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", (mart,)).fetchone()
            if kind is None:
                continue
            if kind[0] != "p":
                rebuild = f"dbt build --full-refresh --select {mart.partition('.')[2]}"
                done += Partitions(kept={mart: f"made by a version without partitions; {rebuild} makes it anew"})
                continue
            today = moment.astimezone(UTC).date()
            ahead = [today + timedelta(days=n) for n in range(-1, settings.partitions_ahead_days + 1)]
            done += Partitions(int(_value(connection, "SELECT ops.ensure_day_partitions(%s, %s)", mart, ahead)))
            last_day = today - timedelta(days=getattr(settings, days))
            for name, day in _partitions(connection, mart):
                if day < last_day:
                    reason = _drop(connection, sql.Identifier(*mart.split(".")), sql.Identifier("partitions", name))
                    done += Partitions(0, [name]) if reason is None else Partitions(kept={name: reason})
    return done


def partition_name(day: date) -> str:
    """The partition of one UTC day, without its schema."""
    return f"{PREFIX}{day:%Y%m%d}"


def _partitions(connection: psycopg.Connection, parent: str) -> list[tuple[str, date]]:
    """(name, UTC day) of the partitions, oldest first; the day is what the name ends with."""
    rows = connection.execute(
        "SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') FROM pg_inherits AS i"
        " INNER JOIN pg_class AS c ON i.inhrelid = c.oid WHERE i.inhparent = %s::regclass ORDER BY 2",
        (parent,),
    )
    return rows.fetchall()


def _drop(
    connection: psycopg.Connection,
    parent: sql.Identifier,
    partition: sql.Identifier,
    looked: str | None = None,
    late: bool = False,
) -> str | None:
    """Drop one partition, or say why it stays: it is in use, or rows landed since the snapshot `looked`.

    With `late` those of its readings that could not be used are rejected in the same transaction.
    """
    try:
        with connection.transaction() as transaction:
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
            if late:
                connection.execute(sql.SQL(REJECT_LATE).format(partition=partition), {"reason": LATE})
            # The parent first, as everyone who lands does: the other way round could deadlock with them.
            connection.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(parent))
            if looked is not None and _count(connection, UNSEEN, partition, snapshot=looked):
                raise psycopg.Rollback(transaction)
            connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(parent, partition))
            connection.execute(sql.SQL("DROP TABLE {}").format(partition))
            return None
    except errors.LockNotAvailable:
        return f"in use for more than {LOCK_TIMEOUT}"
    return "late rows are landing"


def _why_kept(connection: psycopg.Connection, partition: sql.Identifier) -> tuple[str | None, bool]:
    """Why a partition of readings stays, if it does; and whether it has readings that came too late to be used."""
    if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(partition)).fetchone() is None:
        return None, False
    watermark = connection.execute(
        "SELECT w.snapshot::text FROM ops.watermarks AS w, pg_control_system() AS c "
        "WHERE w.pipeline = 'transform' AND w.system_identifier = c.system_identifier"
    ).fetchone()
    if watermark is None:
        return "the transform has not run in this cluster yet", False
    unseen = _count(connection, UNSEEN, partition, snapshot=watermark[0])
    if unseen:
        return f"{unseen} rows that the transform has not seen yet", False
    if connection.execute("SELECT to_regclass('intermediate.int_sensor_minutes')").fetchone() == (None,):
        return "intermediate.int_sensor_minutes is missing", False
    row = connection.execute(sql.SQL(ROLLED_UP).format(partition=partition)).fetchone()
    assert row is not None
    waiting, kept_as_they_were = row
    return f"{waiting} tag-minutes that are not rolled up" if waiting else None, kept_as_they_were > 0


def _count(connection: psycopg.Connection, query: str, partition: sql.Identifier, **parameters: str) -> int:
    row = connection.execute(sql.SQL(query).format(partition=partition), parameters).fetchone()
    return int(row[0]) if row else 0


def _value(connection: psycopg.Connection, query: str, *parameters: object) -> Any:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]
