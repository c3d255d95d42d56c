"""Where rows of an enterprise system come from: a CSV or Parquet file, or a query on another database."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ingest.errors import FileError
from ingest.files.tables import NULLS, TableFile

_ROWS_AT_ONCE = 5_000


class Rows(Protocol):
    """Rows by name. `rows` yields (line, what was given); a line of another width has None as what was given."""

    @property
    def name(self) -> str:
        """The file, or what stands for it in messages."""

    @property
    def folder(self) -> Path:
        """Where files lie that are named beside it."""

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        """(line, columns by name, or the text of a line that has too few or too many fields)."""

    def place(self, line: int, column: str | None) -> str:
        """Where something is wrong, for a message."""


class FileRows:
    """The rows of a file; raises FileError where it can't be read or its columns aren't those that are expected."""

    def __init__(
        self, path: Path, needed: Sequence[str], optional: Sequence[str], ignored: Sequence[str], separator: str
    ) -> None:
        self._file = TableFile(path, list(needed), list(optional), list(ignored), separator)
        self._separator = separator
        self.name = str(path)
        self.folder = path.parent

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        return self._parquet() if self._file.parquet else self._csv()

    def place(self, line: int, column: str | None) -> str:
        where = f"{self.name}, {'row' if self._file.parquet else 'line'} {line}"
        return where if column is None else f"{where}, column {column!r}"

    def _parquet(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for line, columns in self._file.batches():
            names = list(columns)
            for offset, values in enumerate(zip(*map(_listed, columns.values()), strict=True)):
                yield line + offset, dict(zip(names, values, strict=True))

    def _csv(self) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        wanted = set(self._file.columns)
        # A byte that isn't UTF-8 spoils its own row, not the file.
        with self._file.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=self._separator)
            names = next(reader)
            if twice := [name for name in names if names.count(name) > 1]:
                raise FileError(f"{self.name}, line 1: column {twice[0]!r} is given twice")
            line = reader.line_num + 1
            try:
                for fields in reader:
                    if len(fields) == len(names):
                        yield (
                            line,
                            {
                                name: None if field in _NULLS else field
                                for name, field in zip(names, fields, strict=True)
                                if name in wanted
                            },
                        )
                    elif fields:
                        yield line, self._separator.join(fields)
                    line = reader.line_num + 1
            except csv.Error as error:
                raise FileError(f"{self.name}, line {line}: can't be read: {error}") from error


_NULLS = frozenset(NULLS)


def _listed(array: Any) -> list[Any]:
    if pa.types.is_timestamp(array.type):
        # Nanoseconds are cut to what Postgres keeps.
        array = pc.cast(array, pa.timestamp("us", array.type.tz), safe=False)
    found: list[Any] = array.to_pylist()
    return found


class QueryRows:
    """The rows of a SELECT on another database, by an SQLAlchemy URL; nothing there is changed.

    Raises FileError where it can't be asked, or its columns aren't those that are expected.
    """

    def __init__(
        self, url: str, query: str, needed: Sequence[str], optional: Sequence[str], ignored: Sequence[str]
    ) -> None:
        from sqlalchemy import create_engine
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import SQLAlchemyError

        try:
            parsed = make_url(url)
            # Without the password, for messages and raw.loads.
            self.name = f"query on {parsed.set(password=None, username=None, query={}).render_as_string()}"
            self._engine = create_engine(parsed)
        except ImportError as error:
            raise FileError(f"--from: its driver isn't installed: {error}; install it beside Millwright") from error
        except SQLAlchemyError as error:
            # What SQLAlchemy says repeats the URL, and with it a password.
            allowed = "a URL such as postgresql+psycopg://user:password@host:5432/mes"
            raise FileError(f"--from: must be {allowed}, of a database whose driver is installed") from error
        self.folder = Path()
        self._query = query
        self._needed, self._optional, self._ignored = needed, optional, ignored

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.connect().execution_options(stream_results=True) as connection:
                result = connection.execute(text(self._query))
                if not result.returns_rows:
                    raise FileError(f"{self.name}: must be a SELECT; it gives no rows")
                self._check(list(result.keys()))
                line = 0
                for part in result.mappings().partitions(_ROWS_AT_ONCE):
                    for row in part:
                        line += 1
                        yield line, dict(row)
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise FileError(f"{self.name}: {str(cause).strip().splitlines()[0]}") from error
        finally:
            self._engine.dispose()

    def place(self, line: int, column: str | None) -> str:
        where = f"{self.name}, row {line}"
        return where if column is None else f"{where}, column {column!r}"

    def _check(self, names: list[str]) -> None:
        if missing := [name for name in self._needed if name not in names]:
            raise FileError(f"{self.name}: column {missing[0]!r} is missing; the query has: {', '.join(names)}")
        allowed = [*self._needed, *self._optional, *self._ignored]
        if unknown := [name for name in names if name not in allowed]:
            raise FileError(f"{self.name}: unknown column {unknown[0]!r}; allowed are: {', '.join(allowed)}")
