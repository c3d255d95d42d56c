"""Exports of MES, SAP and CMMS into their raw tables: what is good is loaded, what is not is kept with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from ingest.errors import FileError, IngestError
from ingest.files.contracts import CONTRACTS, SYSTEMS, Contract, tables_of
from ingest.files.rows import FileRows, QueryRows, Rows
from ingest.files.table_map import Shaper, TableMap
from ingest.files.values import RowError, read
from ingest.readings import safe_text
from warehouse.roles import Role, connect
from warehouse.settings import Settings

_ROWS_AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class LoadResult:
    """Rows that were given; how many of them were new, changed what was there, and were refused."""

    table: str
    rows: int
    inserted: int
    updated: int
    rejected: int

    def __str__(self) -> str:
        counts = f"{self.rows:,} rows, {self.inserted:,} new, {self.updated:,} changed, {self.rejected:,} rejected"
        hint = "; see `python -m ingest rejected rows`" if self.rejected else ""
        return f"raw.{self.table}: {counts}{hint}"


@dataclass(frozen=True)
class Query:
    """A SELECT on another database, an SQLAlchemy URL; its columns are those of `table` or of a map."""

    url: str
    text: str
    table: str | None = None


def load(
    settings: Settings,
    system: str,
    sources: Sequence[Path | Query],
    mapping: TableMap | None = None,
    *,
    strict: bool = False,
) -> list[LoadResult]:
    """Load `sources` into tables of `system`, all of them in one transaction; repeating it changes nothing.

    A file's table is the one that its stem names, or that of `mapping`. Rows that can't be used go to
    `raw.rejected_rows`; with `strict` the first of them ends the load, and nothing is loaded at all.
    Raises IngestError or FileError (file, line, column, what is allowed).
    """
    if system not in SYSTEMS:
        raise IngestError(f"system must be one of {', '.join(SYSTEMS)}. Got: {system!r}")
    if mapping is not None and CONTRACTS[mapping.table].system != system:
        raise IngestError(f"the map is for {mapping.table}, which is not a table of {system}")
    with connect(settings, Role.INGEST) as connection:
        results = []
        for source in sources:
            contract = CONTRACTS[mapping.table if mapping else _table(system, source)]
            loader = _Loader(connection, contract, _open(source, contract, mapping), strict)
            results.append(loader.run(_shape(mapping, loader.rows), mapping.zone if mapping else UTC))
        return results


def _table(system: str, source: Path | Query) -> str:
    allowed = tables_of(system)
    if isinstance(source, Query):
        if source.table not in allowed:
            raise IngestError(f"--table must be one of {', '.join(allowed)}. Got: {source.table!r}")
        return source.table
    for name in (source.stem, f"{system}_{source.stem}"):
        if name in allowed:
            return name
    raise FileError(
        f"{source}: the file's name must be that of a table of {system}, or a map name it: {', '.join(allowed)}."
        f" Got: {source.stem!r}"
    )


def _open(source: Path | Query, contract: Contract, mapping: TableMap | None) -> Rows:
    if mapping is None:
        needed = [column.name for column in contract.columns if column.required]
        optional = [column.name for column in contract.columns if not column.required]
        ignored: list[str] = []
    else:
        needed, optional, ignored = mapping.needed, [], mapping.ignored
    if isinstance(source, Query):
        return QueryRows(source.url, source.text, needed, optional, ignored)
    return FileRows(source, needed, optional, ignored, mapping.separator if mapping else ",")


def _shape(mapping: TableMap | None, rows: Rows) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return (lambda given: given) if mapping is None else Shaper(mapping, rows.folder).shape


@dataclass(frozen=True)
class _Row:
    """A row on its way: where it stood, what was given, what the contract made of it."""

    line: int
    given: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)


class _Loader:
    """One source into one table: staged in parts, duplicates settled, then merged."""

    def __init__(self, connection: psycopg.Connection, contract: Contract, rows: Rows, strict: bool) -> None:
        self._connection = connection
        self._contract = contract
        self.rows = rows
        self._strict = strict
        self._rejected = 0
        self._stage = sql.Identifier("pg_temp", f"load_{contract.table}")
        self._target = sql.Identifier("raw", contract.table)
        self._names: tuple[str, ...] = ()

    def run(self, shape: Callable[[Mapping[str, Any]], Mapping[str, Any]], zone: tzinfo) -> LoadResult:
        # Constraints are copied, so that what the contract can't see is refused here, near its line.
        self._execute(
            "CREATE TEMP TABLE {stage} (LIKE {target} INCLUDING CONSTRAINTS, load_line bigint) ON COMMIT DROP"
        )
        self._execute("ALTER TABLE {stage} DROP COLUMN loaded_at, DROP COLUMN loaded_xid")
        count = 0
        for part in _parts(self.rows.rows()):
            count += len(part)
            self._put([row for row in (self._read(line, given, shape, zone) for line, given in part) if row])
        self._settle_duplicates()
        inserted, updated = self._merge() if self._names else (0, 0)
        self._execute("DROP TABLE {stage}")
        self._connection.execute(
            "INSERT INTO raw.loads (system, table_name, file, row_count, inserted, updated, rejected)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (self._contract.system, self._contract.table, self.rows.name, count, inserted, updated, self._rejected),
        )
        return LoadResult(self._contract.table, count, inserted, updated, self._rejected)

    def _read(
        self,
        line: int,
        given: Mapping[str, Any] | str,
        shape: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        zone: tzinfo,
    ) -> _Row | None:
        if isinstance(given, str):
            self._reject(_Row(line, {"line": given}), RowError(None, "has too few or too many fields"))
            return None
        try:
            return _Row(line, given, read(self._contract, shape(given), zone))
        except RowError as problem:
            self._reject(_Row(line, given), problem)
            return None

    def _put(self, rows: Sequence[_Row]) -> None:
        """Stage rows; where Postgres refuses some, halve until each of them stands alone."""
        if not rows:
            return
        self._names = tuple(rows[0].values)
        fields = self._fields(*self._names, "load_line")
        try:
            with (
                self._connection.transaction(),
                self._connection.cursor() as cursor,
                cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(self._stage, fields)) as copy,
            ):
                for row in rows:
                    copy.write_row((*row.values.values(), row.line))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(rows) == 1:
                self._reject(rows[0], RowError(None, error.diag.message_primary or str(error)))
                return
            middle = len(rows) // 2
            self._put(rows[:middle])
            self._put(rows[middle:])

    def _settle_duplicates(self) -> None:
        """The first row of a key counts; one that repeats it word for word is no matter, another is refused."""
        found = self._execute(
            "DELETE FROM {stage} AS s USING ("
            "  SELECT f.load_line, first_value(f.load_line) OVER same AS first_line,"
            "    first_value(to_jsonb(f) - 'load_line') OVER same AS first_row"
            "  FROM {stage} AS f WINDOW same AS (PARTITION BY {key} ORDER BY load_line)"
            ") AS d WHERE s.load_line = d.load_line AND d.first_line < s.load_line"
            " RETURNING s.load_line, d.first_line, to_jsonb(s) - 'load_line', to_jsonb(s) - 'load_line' = d.first_row"
        ).fetchall()
        key = self._contract.key.name
        for line, first, row, same in sorted(found, key=lambda one: one[0]):
            if not same:
                self._reject(_Row(line, row), RowError(key, f"{row[key]!r} is given twice; first in {first}"))

    def _merge(self) -> tuple[int, int]:
        key = self._contract.key.name
        rest = [name for name in self._names if name != key]
        # xmax is 0 in a row that this statement inserted; an unchanged row is not written again.
        counted = self._execute(
            "WITH merged AS (INSERT INTO {target} AS t ({fields}) SELECT {fields} FROM {stage}"
            " ON CONFLICT ({key}) DO UPDATE SET {assignments}"
            " WHERE ({current}) IS DISTINCT FROM ({proposed}) RETURNING (xmax = 0) AS inserted)"
            " SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged",
            fields=self._fields(*self._names),
            assignments=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in rest),
            current=sql.SQL(", ").join(sql.Identifier("t", name) for name in rest),
            proposed=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in rest),
        ).fetchone()
        assert counted is not None
        return int(counted[0]), int(counted[1])

    def _reject(self, row: _Row, problem: RowError) -> None:
        if self._strict:
            raise FileError(f"{self.rows.place(row.line, problem.column)}: {problem.reason}")
        self._rejected += 1
        given = {name: None if value is None else safe_text(str(value)) for name, value in row.given.items()}
        self._connection.execute(
            "INSERT INTO raw.rejected_rows (system, table_name, file, line, row, column_name, reason)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                self._contract.system,
                self._contract.table,
                self.rows.name,
                row.line,
                json.dumps(given),
                problem.column,
                safe_text(problem.reason),
            ),
        )

    def _execute(self, query: str, **parts: sql.Composable) -> psycopg.Cursor[Any]:
        names = {"stage": self._stage, "target": self._target, "key": sql.Identifier(self._contract.key.name)}
        return self._connection.execute(sql.SQL(query).format(**names, **parts))  # type: ignore[arg-type]

    @staticmethod
    def _fields(*names: str) -> sql.Composable:
        return sql.SQL(", ").join(map(sql.Identifier, names))


def _parts(rows: Iterator[tuple[int, Mapping[str, Any] | str]]) -> Iterator[list[tuple[int, Mapping[str, Any] | str]]]:
    part: list[tuple[int, Mapping[str, Any] | str]] = []
    for row in rows:
        part.append(row)
        if len(part) == _ROWS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part
