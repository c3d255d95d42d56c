"""Retention of raw readings: a day goes by detach and drop, beside a DELETE of as many rows.

    python -m bench.retention --rows 50000000 --json

The readings are those of `DAYS` days in `raw.sensor_events` itself, its key and its index on the transaction with
them, made on the server. The oldest day is dropped as `python -m warehouse maintain` does it, the next one deleted.
What a DELETE leaves for vacuum is measured too: until then the disk has nothing back. And so is the question that
`maintain` asks before, without a lock: whether every minute of the day is rolled up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import psycopg
import typer
from psycopg import sql

from bench.figures import Figures
from bench.throwaway import throwaway_warehouse
from warehouse.partitions import ROLLED_UP, partition_name
from warehouse.roles import Role, connect

DAYS: Final = 5
TAGS: Final = 1000
BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
QUICK_ROWS: Final = 20_000
# What the transform has of a day by then, as far as the question reads it.
ROLL_UPS = """
CREATE TABLE intermediate.int_sensor_minutes AS
SELECT tag_id, date_trunc('minute', source_ts, 'UTC') AS minute, count(*)::integer AS reading_count
FROM raw.{} GROUP BY 1, 2
"""
READINGS = """
INSERT INTO raw.sensor_events (tag_id, source_ts, server_ts, value, status, digest, origin, available_at)
SELECT tag_id, ts, ts, tag_id, 0, n, 'live', ts
FROM generate_series(0, %(seconds)s - 1) AS n
CROSS JOIN LATERAL (SELECT %(begin)s::timestamptz + n * %(step)s * interval '1 second' AS ts) AS at
CROSS JOIN generate_series(1, %(tags)s) AS tag_id
"""


def measure(rows: int, quick: bool = False) -> Figures:
    """`drop_s` and `delete_s` of a day each, `vacuum_s` after the latter; `ratio` is delete to drop, without vacuum.

    `look_s` is what `maintain` takes before, during which nobody waits.

    `drop_freed_mb` and `delete_freed_mb` are what each gave back to the disk, vacuum not counted.
    """
    if quick:
        rows = min(rows, QUICK_ROWS)
    tags = min(TAGS, rows // DAYS)
    a_day = rows // DAYS // tags
    with throwaway_warehouse() as settings, connect(settings, Role.ADMIN, autocommit=True) as admin:
        admin.execute("SELECT raw.ensure_partitions(%s, %s)", (BEGIN, BEGIN + timedelta(days=DAYS - 1)))
        begun = time.perf_counter()
        for day in range(DAYS):
            begin = BEGIN + timedelta(days=day)
            admin.execute(READINGS, {"begin": begin, "seconds": a_day, "step": 86_400 / a_day, "tags": tags})
        admin.execute("VACUUM ANALYZE raw.sensor_events")
        typer.echo(f"{rows:,} readings made in {time.perf_counter() - begun:.0f} s", err=True)
        oldest = _partition(BEGIN)
        admin.execute(sql.SQL(ROLL_UPS).format(oldest))
        admin.execute("ALTER TABLE intermediate.int_sensor_minutes ADD PRIMARY KEY (tag_id, minute)")
        admin.execute("VACUUM ANALYZE intermediate.int_sensor_minutes")
        begun = time.perf_counter()
        asked = admin.execute(sql.SQL(ROLLED_UP).format(partition=sql.SQL("raw.{}").format(oldest)))
        if (found := asked.fetchone()) != (0, 0):
            raise RuntimeError(f"all of the day is rolled up as it is. Got: {found}")
        looked = time.perf_counter() - begun
        # Neither has to wait for what the loading left behind.
        admin.execute("CHECKPOINT")
        dropped, dropped_mb = _timed(admin, _drop, BEGIN)
        deleted, deleted_mb = _timed(admin, _delete, BEGIN + timedelta(days=1))
        begun = time.perf_counter()
        admin.execute(sql.SQL("VACUUM raw.{}").format(_partition(BEGIN + timedelta(days=1))))
        vacuumed = time.perf_counter() - begun
        left = admin.execute("SELECT count(*) FROM raw.sensor_events").fetchone()
        if left != ((DAYS - 2) * a_day * tags,):
            raise RuntimeError(f"{(DAYS - 2) * a_day * tags} readings were to stay. Got: {left}")
    return {
        "rows": DAYS * a_day * tags,
        "rows_a_day": a_day * tags,
        "look_s": looked,
        "drop_s": dropped,
        "delete_s": deleted,
        "vacuum_s": vacuumed,
        "ratio": deleted / dropped,
        "drop_freed_mb": dropped_mb,
        "delete_freed_mb": deleted_mb,
    }


def _partition(day: datetime) -> sql.Identifier:
    return sql.Identifier(partition_name(day.date()))


def _drop(admin: psycopg.Connection, day: datetime) -> None:
    with admin.transaction():
        admin.execute("LOCK TABLE ONLY raw.sensor_events IN ACCESS EXCLUSIVE MODE")
        admin.execute(sql.SQL("ALTER TABLE raw.sensor_events DETACH PARTITION raw.{}").format(_partition(day)))
        admin.execute(sql.SQL("DROP TABLE raw.{}").format(_partition(day)))


def _delete(admin: psycopg.Connection, day: datetime) -> None:
    admin.execute(
        "DELETE FROM raw.sensor_events WHERE source_ts >= %s AND source_ts < %s", (day, day + timedelta(days=1))
    )


def _timed(
    admin: psycopg.Connection, do: Callable[[psycopg.Connection, datetime], None], day: datetime
) -> tuple[float, float]:
    """Seconds, and MB that the database is smaller by."""
    size = "SELECT pg_database_size(current_database())::float8 / 1e6"
    before = admin.execute(size).fetchone()
    begun = time.perf_counter()
    do(admin, day)
    seconds = time.perf_counter() - begun
    after = admin.execute(size).fetchone()
    if before is None or after is None:
        raise RuntimeError("a database has a size")
    return seconds, before[0] - after[0]


def main(
    rows: Annotated[int, typer.Option(min=1000, help="readings, over five days")] = 50_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="one object on stdout")] = False,
    quick: Annotated[bool, typer.Option(help="few readings, to see that it runs")] = False,
) -> None:
    """Measure what letting go of a day of raw readings costs."""
    figures = measure(rows, quick)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            typer.echo(f"{name:16} {value:,.3f}")


if __name__ == "__main__":
    typer.run(main)
