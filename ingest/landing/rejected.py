"""Readings that couldn't be used, in `raw.rejected_events`: written with their reason, listed, exported, tried again.

A reading is turned away once, however often a spool is read again. A retry judges it by what plant.yml says now and
lands what has become usable, in one transaction with the mark that it has; a second retry finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from psycopg.rows import dict_row
from rich.table import Table
from rich.text import Text

from ingest.landing import arrays
from ingest.landing.arrays import BIGINT, INTEGER, TIMESTAMPTZ, array, text_array
from ingest.opcua.decoding import SEPARATOR
from ingest.readings import (
    NEWEST_US,
    NO_TIME,
    NULL,
    NUMBER,
    OLDEST_US,
    REJECTED,
    TEXT,
    Readings,
    safe_text,
)

_KINDS: Final = {NULL: "null", NUMBER: "number", TEXT: "text", REJECTED: "unsupported"}


@dataclass(frozen=True)
class Rejected:
    """A reading that can't be used; times are µs since 2000-01-01 UTC."""

    reason: str
    tag_id: int | None = None
    source_us: int = NO_TIME
    payload: str | None = None
    status: int | None = None
    kind: str | None = None
    server_us: int = NO_TIME
    received_us: int = NO_TIME


def rejection(readings: Readings, row: NDArray[np.void] | np.void, reason: str) -> Rejected:
    """Why a row of `readings` can't be used, with what it said."""
    text = readings.text(row)  # type: ignore[arg-type]
    payload = text if text is not None else repr(float(row["value"])) if row["kind"] == NUMBER else None
    if row["kind"] == REJECTED and payload is not None:
        payload = payload.partition(SEPARATOR)[2] or None
    source_us = int(row["source_ts"])
    if source_us != NO_TIME and not OLDEST_US <= source_us <= NEWEST_US:
        payload = f"{'' if payload is None else payload} at {source_us} µs since 2000-01-01"
    return Rejected(
        reason,
        int(row["tag_id"]),
        source_us,
        payload,
        int(row["status"]),
        _KINDS.get(int(row["kind"]), "unsupported"),
        int(row["server_ts"]),
        readings.received_us,
    )


def reject(
    connection: psycopg.Connection, server: str, nodes: dict[int, str], rejected: Sequence[Rejected], origin: str
) -> None:
    """Rows for `raw.rejected_events`, each once; a time that no datetime can hold is NULL and stands in the payload."""
    tags = np.array([r.tag_id or 0 for r in rejected], np.int64)
    status = np.array([r.status or 0 for r in rejected], np.int64)
    times = [np.array([_storable(us) for us in column], np.int64) for column in _times(rejected)]
    arrays.cursor(connection).execute(
        "INSERT INTO raw.rejected_events (server, origin, tag_id, node_id, source_ts, server_ts, received_at, payload,"
        " kind, status, reason) SELECT %s, %s::raw.origin, t.* FROM unnest(%s::integer[], %s::text[],"
        " %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[], %s::bigint[], %s::text[])"
        " AS t ON CONFLICT DO NOTHING",
        (
            server,
            origin,
            array(tags, INTEGER, np.array([r.tag_id is None for r in rejected])),
            text_array([None if r.tag_id is None else nodes.get(r.tag_id) for r in rejected]),
            *(array(column, TIMESTAMPTZ, column == NO_TIME) for column in times),
            text_array([None if r.payload is None else safe_text(r.payload) for r in rejected]),
            text_array([r.kind for r in rejected]),
            array(status, BIGINT, np.array([r.status is None for r in rejected])),
            text_array([safe_text(r.reason) for r in rejected]),
        ),
    )


def _times(rejected: Sequence[Rejected]) -> tuple[list[int], list[int], list[int]]:
    return [r.source_us for r in rejected], [r.server_us for r in rejected], [r.received_us for r in rejected]


def _storable(us: int) -> int:
    return us if OLDEST_US <= us <= NEWEST_US else NO_TIME


@dataclass(frozen=True)
class Wanted:
    """Which rejected readings: all that were not landed since, or those that fit everything that is given."""

    reason: str | None = None
    server: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    landed_too: bool = False

    @property
    def condition(self) -> sql.Composable:
        """A condition on `raw.rejected_events AS r`."""
        parts: list[sql.Composable] = [] if self.landed_too else [sql.SQL("r.landed_at IS NULL")]
        for text, value in (
            ("strpos(lower(r.reason), lower({})) > 0", self.reason),
            ("r.server = {}", self.server),
            ("r.rejected_at >= {}", self.since),
            ("r.rejected_at < {}", self.until),
        ):
            if value is not None:
                parts.append(sql.SQL(text).format(sql.Literal(value)))
        return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


_COLUMNS: Final = sql.SQL(
    "r.rejected_id, r.rejected_at, r.server, r.tag_id, r.node_id, r.source_ts, r.server_ts, r.received_at, r.kind,"
    " r.payload, r.status, r.reason, r.origin, r.landed_at"
)


def newest(connection: psycopg.Connection, wanted: Wanted, most: int) -> list[dict[str, Any]]:
    """The newest rejected readings, at most `most` of them, as columns by name."""
    query = sql.SQL("SELECT {} FROM raw.rejected_events AS r WHERE {} ORDER BY r.rejected_id DESC LIMIT {}")
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(query.format(_COLUMNS, wanted.condition, most)).fetchall()


def by_reason(connection: psycopg.Connection, wanted: Wanted) -> list[tuple[str, str, int, datetime]]:
    """(server, reason, how many, the newest) of rejected readings, the most frequent first."""
    query = sql.SQL(
        "SELECT coalesce(r.server, ''), r.reason, count(*), max(r.rejected_at) FROM raw.rejected_events AS r"
        " WHERE {} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
    )
    return connection.execute(query.format(wanted.condition)).fetchall()


def export(connection: psycopg.Connection, wanted: Wanted, file: BinaryIO) -> int:
    """Rejected readings as CSV with a header, oldest first; returns how many."""
    query = sql.SQL(
        "COPY (SELECT {} FROM raw.rejected_events AS r WHERE {} ORDER BY r.rejected_id) TO STDOUT (FORMAT csv, HEADER)"
    )
    with connection.cursor() as cursor:
        with cursor.copy(query.format(_COLUMNS, wanted.condition)) as copy:
            for block in copy:
                file.write(block)
        return cursor.rowcount


def tables(counts: Sequence[tuple[str, str, int, datetime]], rows: Sequence[dict[str, Any]]) -> tuple[Table, Table]:
    """Counts by reason and single readings, for a terminal."""
    reasons = Table("readings", "server", "reason", "newest (UTC)", box=None, pad_edge=False)
    for server, reason, count, last in counts:
        reasons.add_row(f"{count:,}", Text(server), Text(reason), f"{last:%Y-%m-%d %H:%M:%S}")
    single = Table("id", "node", "source time (UTC)", "value", "status", "reason", box=None, pad_edge=False)
    for row in rows:
        source = row["source_ts"]
        single.add_row(
            str(row["rejected_id"]),
            Text(str(row["node_id"] or row["tag_id"] or "")),
            "" if source is None else source.isoformat(" ", "milliseconds").removesuffix("+00:00"),
            Text("" if row["payload"] is None else str(row["payload"])[:40]),
            "" if row["status"] is None else f"0x{row['status']:08X}",
            Text(f"{row['reason']}{' (landed since)' if row['landed_at'] else ''}"),
        )
    return reasons, single
