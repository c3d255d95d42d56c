"""Rows of MES, SAP and CMMS that couldn't be loaded, in `raw.rejected_rows`: counted by reason, listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class WantedRows:
    """Which rejected rows: those that fit everything that is given."""

    table: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def condition(self) -> sql.Composable:
        """A condition on `raw.rejected_rows AS r`."""
        given = (
            ("r.table_name = {}", self.table),
            ("strpos(lower(r.reason), lower({})) > 0", self.reason),
            ("r.rejected_at >= {}", self.since),
            ("r.rejected_at < {}", self.until),
        )
        parts = [sql.SQL(text).format(sql.Literal(value)) for text, value in given if value is not None]
        return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def rows_by_reason(connection: psycopg.Connection, wanted: WantedRows) -> list[tuple[str, str, str, int, datetime]]:
    """(table, column, reason without what was given, how many, the newest), the most frequent first."""
    query = sql.SQL(
        "SELECT r.table_name, coalesce(r.column_name, ''), split_part(r.reason, '. Got: ', 1), count(*),"
        " max(r.rejected_at) FROM raw.rejected_rows AS r WHERE {} GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"
    )
    return connection.execute(query.format(wanted.condition)).fetchall()


def newest_rows(connection: psycopg.Connection, wanted: WantedRows, most: int) -> list[dict[str, Any]]:
    """The newest rejected rows, at most `most` of them, as columns by name."""
    query = sql.SQL("SELECT r.* FROM raw.rejected_rows AS r WHERE {} ORDER BY r.rejected_id DESC LIMIT {}")
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(query.format(wanted.condition, most)).fetchall()


def row_tables(
    counts: Sequence[tuple[str, str, str, int, datetime]], rows: Sequence[dict[str, Any]]
) -> tuple[Table, Table]:
    """Counts by reason and single rows, for a terminal."""
    reasons = Table("rows", "table", "column", "reason", "newest (UTC)", box=None, pad_edge=False)
    for table, column, reason, count, last in counts:
        reasons.add_row(f"{count:,}", table, Text(column), Text(reason), f"{last:%Y-%m-%d %H:%M:%S}")
    single = Table("id", "file", "line", "column", "reason", "row", box=None, pad_edge=False)
    for row in rows:
        given = ", ".join(f"{name}={value}" for name, value in row["row"].items() if value is not None)
        single.add_row(
            str(row["rejected_id"]),
            Text(row["file"]),
            str(row["line"]),
            Text(row["column_name"] or ""),
            Text(row["reason"]),
            Text(given[:200]),
        )
    return reasons, single
