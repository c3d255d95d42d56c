"""Readings into `raw.sensor_events` with an exactly-once effect, and what goes with them in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from ingest.landing import arrays
from ingest.landing.arrays import BIGINT, FLOAT, INTEGER, TIMESTAMPTZ, array, text_array
from ingest.landing.copying import COLUMNS, copy
from ingest.readings import NO_TIME, NUMBER, TEXT, Readings, Rows, digests, safe_text, to_datetime

EVENTS: Final = sql.Identifier("raw", "sensor_events")
_STAGE: Final = sql.Identifier("pg_temp", "landing")
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Prepared:
    """Readings in key order, each key once, with their digests."""

    readings: Readings
    digest: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.readings)

    def part(self, index: slice | NDArray[Any]) -> Prepared:
        """Some of the rows."""
        return Prepared(self.readings.part(index), self.digest[index])

    @property
    def newest(self) -> Rows:
        """The newest row of each tag."""
        rows = self.readings.rows
        return rows[np.append(rows["tag_id"][1:] != rows["tag_id"][:-1], True)] if len(rows) else rows


def prepare(readings: Readings) -> Prepared:
    """Sort by key and drop rows that come twice; sorted rows are several times faster to index."""
    rows = readings.rows
    digest = digests(rows, readings.texts)
    order = np.lexsort((digest, rows["source_ts"], rows["tag_id"]))
    prepared = Prepared(readings, digest).part(order)
    rows, digest = prepared.readings.rows, prepared.digest
    first = np.ones(len(rows), bool)
    if len(rows) > 1:
        same_time = (rows["tag_id"][1:] == rows["tag_id"][:-1]) & (rows["source_ts"][1:] == rows["source_ts"][:-1])
        first[1:] = ~(same_time & (digest[1:] == digest[:-1]))
    return prepared if first.all() else prepared.part(first)


def days_of(rows: NDArray[np.void]) -> set[int]:
    """The UTC days (days since 2000-01-01) of the rows' source times."""
    return set(np.unique(rows["source_ts"] // _DAY_US).tolist())


def ensure_partitions(connection: psycopg.Connection, days: Iterable[int]) -> None:
    """Create the partitions of `days` (days since 2000-01-01 UTC) that are missing."""
    for day in sorted(days):
        moment = to_datetime(day * _DAY_US)
        connection.execute("SELECT raw.ensure_partitions(%s, %s)", (moment, moment))


def date_of(day: int) -> date:
    """The date of `day`, days since 2000-01-01."""
    return to_datetime(day * _DAY_US).date()


def analyze_new_days(connection: psycopg.Connection, days: Iterable[int]) -> None:
    """Analyze the partitions of `days` (days since 2000-01-01 UTC) that have no statistics."""
    connection.execute("SELECT raw.analyze_new_days(%s)", ([date_of(day) for day in days],))


def insert_new(connection: psycopg.Connection, prepared: Prepared, origin: str, available_at: NDArray[np.int64]) -> int:
    """Straight into the partitions; raises UniqueViolation where a row is there already."""
    copy(connection, EVENTS, prepared.readings, prepared.digest, origin, available_at)
    return len(prepared)


def insert_days(
    connection: psycopg.Connection, prepared: Prepared, origin: str, available_at: NDArray[np.int64]
) -> int:
    """As `insert_new`, for whole days: those that have no partition get theirs with the rows in it."""
    row_day = prepared.readings.rows["source_ts"] // _DAY_US
    made: list[date] = []
    for day in np.unique(row_day).tolist():
        index = np.flatnonzero(row_day == day)
        part, available = prepared.part(index), available_at[index]
        found = connection.execute("SELECT raw.begin_day(%s)", (date_of(day),)).fetchone()
        if found is None or found[0] is None:
            insert_new(connection, part, origin, available)
            continue
        table = sql.Identifier("raw", found[0])
        copy(connection, table, part.readings, part.digest, origin, available, freeze=True)
        made.append(date_of(day))
    connection.execute("SELECT raw.attach_days(%s)", (made,))
    return len(prepared)


def insert_missing(
    connection: psycopg.Connection, prepared: Prepared, origin: str, available_at: NDArray[np.int64]
) -> int:
    """The rows that are not there yet, by way of a temporary table; returns how many those were."""
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS landing (tag_id integer, source_ts timestamptz, server_ts timestamptz,"
        " value double precision, value_text text, status bigint, digest bigint, origin raw.origin,"
        " available_at timestamptz) ON COMMIT DELETE ROWS"
    )
    connection.execute("TRUNCATE landing")
    copy(connection, _STAGE, prepared.readings, prepared.digest, origin, available_at)
    columns = ", ".join(COLUMNS)
    cursor = connection.execute(
        f"INSERT INTO raw.sensor_events ({columns}) SELECT {columns} FROM landing"
        " ORDER BY tag_id, source_ts, digest ON CONFLICT DO NOTHING"
    )
    return cursor.rowcount


def upsert_latest(connection: psycopg.Connection, prepared: Prepared) -> None:
    """Bring `raw.tag_latest` up to the newest of the rows of each tag, unless it holds a newer one."""
    newest = prepared.newest
    if not len(newest):
        return
    texts: list[str | None] = [None] * len(newest)
    for place in np.flatnonzero(newest["kind"] == TEXT).tolist():
        texts[place] = safe_text(prepared.readings.texts[newest["text"][place]])
    arrays.cursor(connection).execute(
        "INSERT INTO raw.tag_latest AS l (tag_id, source_ts, server_ts, value, value_text, status)"
        " SELECT * FROM unnest(%s::integer[], %s::timestamptz[], %s::timestamptz[], %s::double precision[], %s::text[],"
        " %s::bigint[]) ON CONFLICT (tag_id) DO UPDATE SET source_ts = excluded.source_ts,"
        " server_ts = excluded.server_ts, value = excluded.value, value_text = excluded.value_text,"
        " status = excluded.status, landed_at = excluded.landed_at WHERE excluded.source_ts > l.source_ts",
        (
            array(newest["tag_id"], INTEGER),
            array(newest["source_ts"], TIMESTAMPTZ),
            array(newest["server_ts"], TIMESTAMPTZ, newest["server_ts"] == NO_TIME),
            array(newest["value"], FLOAT, newest["kind"] != NUMBER),
            text_array(texts),
            array(newest["status"], BIGINT),
        ),
    )
