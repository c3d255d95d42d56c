"""Exports of MES, SAP and CMMS into their raw tables: a file is taken whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ingest.errors import FileError, IngestError
from ingest.files.contracts import SYSTEMS, tables_of
from ingest.files.tables import TableFile
from warehouse.roles import Role, connect
from warehouse.settings import Settings

TABLES: Final = {system: tables_of(system) for system in SYSTEMS}
_BOOLEANS: Final = {
    "true": True,
    "t": True,
    "1": True,
    "yes": True,
    "false": False,
    "f": False,
    "0": False,
    "no": False,
}


@dataclass(frozen=True)
class LoadResult:
    """Rows of a file, how many of them were new, and how many changed what was there."""

    table: str
    rows: int
    inserted: int
    updated: int


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    needed: bool
    key: bool


def load(settings: Settings, system: str, paths: Sequence[Path]) -> list[LoadResult]:
    """Load `paths` into the tables that their stems name, all of them in one transaction.

    Timestamps without a zone are UTC. Raises IngestError or FileError (file, line, column, what is allowed).
    """
    if system not in TABLES:
        raise IngestError(f"system must be one of {', '.join(TABLES)}. Got: {system!r}")
    with connect(settings, Role.INGEST) as connection:
        return [_load(connection, _table(system, path), path) for path in paths]


def _table(system: str, path: Path) -> str:
    for name in (path.stem, f"{system}_{path.stem}"):
        if name in TABLES[system]:
            return name
    allowed = ", ".join(TABLES[system])
    raise FileError(f"{path}: the file's name must be that of a table of {system}: {allowed}. Got: {path.stem!r}")


def _columns(connection: psycopg.Connection, table: str) -> list[_Column]:
    rows = connection.execute(
        "SELECT a.attname, format_type(a.atttypid, NULL), a.attnotnull AND NOT a.atthasdef,"
        " coalesce(a.attnum = ANY(i.indkey), false) FROM pg_attribute AS a"
        " LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary"
        " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped"
        " AND a.attname NOT IN ('loaded_at', 'loaded_xid')"
        " ORDER BY a.attnum",
        (f"raw.{table}",),
    ).fetchall()
    return [_Column(*row) for row in rows]


def _load(connection: psycopg.Connection, table: str, path: Path) -> LoadResult:
    columns = _columns(connection, table)
    needed = [column.name for column in columns if column.needed]
    optional = [column.name for column in columns if not column.needed]
    file = TableFile(path, needed, optional, [], ",")
    present = [column for column in columns if column.name in file.columns]
    keys = [column.name for column in present if column.key]
    seen: dict[tuple[Any, ...], int] = {}
    rows: list[tuple[Any, ...]] = []
    for line, arrays in file.batches():
        values = [_values(file, column, arrays[column.name], line) for column in present]
        for offset, row in enumerate(zip(*values, strict=True)):
            key = tuple(value for column, value in zip(present, row, strict=True) if column.key)
            if key in seen:
                raise file.problem(line + offset, keys[0], f"{key[0]!r} is given twice; first in {seen[key]}")
            seen[key] = line + offset
            rows.append(row)
    try:
        inserted, updated = _upsert(connection, table, present, keys, rows)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _refused(connection, file, table, present, keys, rows, list(seen.values()), error) from error
    return LoadResult(table, len(rows), inserted, updated)


def _upsert(
    connection: psycopg.Connection, table: str, columns: list[_Column], keys: list[str], rows: list[tuple[Any, ...]]
) -> tuple[int, int]:
    names = [column.name for column in columns]
    rest = [name for name in names if name not in keys]
    target, stage = sql.Identifier("raw", table), sql.Identifier("pg_temp", f"load_{table}")
    fields = sql.SQL(", ").join(map(sql.Identifier, names))
    with connection.transaction():
        connection.execute(sql.SQL("CREATE TEMP TABLE {} AS SELECT {} FROM {} LIMIT 0").format(stage, fields, target))
        with connection.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(stage, fields)) as copy:
            for row in rows:
                copy.write_row(row)
        # xmax is 0 in a row that this statement inserted; an unchanged row is not written again.
        counted = connection.execute(
            sql.SQL(
                "WITH merged AS (INSERT INTO {target} AS t ({fields}) SELECT {fields} FROM {stage}"
                " ON CONFLICT ({keys}) DO UPDATE SET {assignments}"
                " WHERE ({current}) IS DISTINCT FROM ({proposed}) RETURNING (xmax = 0) AS inserted)"
                " SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged"
            ).format(
                target=target,
                stage=stage,
                fields=fields,
                keys=sql.SQL(", ").join(map(sql.Identifier, keys)),
                assignments=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in rest),
                current=sql.SQL(", ").join(sql.Identifier("t", n) for n in rest),
                proposed=sql.SQL(", ").join(sql.Identifier("excluded", n) for n in rest),
            )
        ).fetchone()
        connection.execute(sql.SQL("DROP TABLE {}").format(stage))
    assert counted is not None
    return int(counted[0]), int(counted[1])


def _refused(
    connection: psycopg.Connection,
    file: TableFile,
    table: str,
    columns: list[_Column],
    keys: list[str],
    rows: list[tuple[Any, ...]],
    lines: list[int],
    error: psycopg.Error,
) -> FileError:
    """Postgres names the row only by its content: find the line by halving."""
    low, high = 0, len(rows)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            with connection.transaction(force_rollback=True):
                _upsert(connection, table, columns, keys, rows[low:middle])
            low = middle
        except (psycopg.DataError, psycopg.IntegrityError) as nearer:
            high, error = middle, nearer
    line = lines[low] if lines else 1
    constraint = error.diag.constraint_name
    definition = (
        connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s AND conrelid = %s::regclass",
            (constraint, f"raw.{table}"),
        ).fetchone()
        if constraint
        else None
    )
    allowed = f"; allowed: {definition[0]}" if definition else ""
    place = f"{file.path}, {'row' if file.parquet else 'line'} {line}"
    return FileError(f"{place}: {error.diag.message_primary or error}{allowed}")


def _values(file: TableFile, column: _Column, array: Any, line: int) -> list[Any]:
    """A column as Python values of its Postgres type; raises FileError at the first that isn't one."""
    name = column.name
    given: list[Any] = array.to_pylist()
    if column.needed:
        for offset, value in enumerate(given):
            if value is None:
                raise file.problem(line + offset, name, "is empty")
    if column.type.startswith("timestamp"):
        if array.null_count == len(array):
            return given
        known = pc.drop_null(array)
        places = [offset for offset, value in enumerate(given) if value is not None]
        parsed = _timestamps(file, known, places, line, name)
        for place, moment in zip(places, parsed, strict=True):
            given[place] = moment
        return given
    readers: dict[str, Callable[[Any], Any]] = {
        "double precision": float,
        "numeric": _number,
        "integer": _integer,
        "boolean": _boolean,
        "date": _date,
    }
    read = readers.get(column.type, str)
    what = {"double precision": "a number", "numeric": "a number", "integer": "a whole number"}
    what |= {"boolean": "true or false", "date": "a date such as 2024-05-31"}
    for offset, value in enumerate(given):
        if value is not None:
            try:
                given[offset] = read(value)
            except (ValueError, TypeError) as error:
                message = f"must be {what.get(column.type, column.type)}. Got: {value!r}"
                raise file.problem(line + offset, name, message) from error
    return given


def _timestamps(file: TableFile, array: Any, places: list[int], line: int, name: str) -> list[datetime]:
    if pa.types.is_timestamp(array.type):
        values = array.to_pylist()
        return [value if value.tzinfo else value.replace(tzinfo=UTC) for value in values]
    moments = []
    for place, value in zip(places, array.to_pylist(), strict=True):
        try:
            moment = datetime.fromisoformat(value)
        except (ValueError, TypeError) as error:
            raise file.problem(line + place, name, f"must be a timestamp (ISO 8601). Got: {value!r}") from error
        moments.append(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return moments


def _number(value: Any) -> str:
    float(value)  # numeric keeps the digits as they are written
    return str(value)


def _integer(value: Any) -> int:
    if float(value) != int(float(value)):
        raise ValueError("not whole")
    return int(float(value))


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return _BOOLEANS[str(value).lower()]
    except KeyError as error:
        raise ValueError("not a boolean") from error


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
