"""CSV and Parquet as Arrow batches of text or numbers, and the errors that name a line and a column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from ingest.errors import FileError
from ingest.readings import UNIX_OFFSET_US

# Spellings of "no value" in exports; an empty field is none as well.
NULLS = ["", "NULL", "null", "NaN", "nan", "N/A", "#N/A"]


class TableFile:
    """A file of rows. `batches` yields (line of the first row, columns); CSV fields come as text.

    Raises FileError where the file can't be read or a column is missing or unknown.
    """

    def __init__(self, path: Path, needed: list[str], optional: list[str], ignored: list[str], separator: str) -> None:
        self.path = path
        self._separator = separator
        self.parquet = path.suffix.lower() in (".parquet", ".pq")
        if not self.parquet and path.suffix.lower() not in (".csv", ".txt", ".tsv"):
            raise FileError(f"{path}: must be .csv or .parquet. Got: {path.suffix!r}")
        if not path.is_file():
            raise FileError(f"{path}: can't be read: no such file")
        names = self._names()
        if missing := [name for name in needed if name not in names]:
            raise FileError(f"{path}, line 1: column {missing[0]!r} is missing; the file has: {', '.join(names)}")
        allowed = [*needed, *optional, *ignored]
        if unknown := [name for name in names if name not in allowed]:
            raise FileError(f"{path}, line 1: unknown column {unknown[0]!r}; allowed are: {', '.join(allowed)}")
        self.columns = [name for name in (*needed, *optional) if name in names]

    def _names(self) -> list[str]:
        try:
            if self.parquet:
                return list(pa.parquet.read_schema(self.path).names)
            # What is wrong further down is told where it stands.
            with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                first = file.readline()
            if not first.strip():
                raise FileError(f"{self.path}, line 1: is empty; the first line must name the columns")
            return list(pa.csv.read_csv(pa.py_buffer(first.encode()), parse_options=self._parse()).column_names)
        except (OSError, UnicodeError, pa.ArrowException) as error:
            raise FileError(f"{self.path}: can't be read: {_one_line(error)}") from error

    def _parse(self) -> Any:
        return pa.csv.ParseOptions(delimiter=self._separator)

    @property
    def rows(self) -> int | None:
        """How many rows there are, where the file says so."""
        return int(pa.parquet.read_metadata(self.path).num_rows) if self.parquet else None

    def batches(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line of the first row, column name → Arrow array) of each batch, in the order of the file."""
        line = 1 if self.parquet else 2
        try:
            for batch in self._read():
                yield line, {name: batch.column(batch.schema.get_field_index(name)) for name in self.columns}
                line += batch.num_rows
        except pa.ArrowException as error:
            raise FileError(f"{self.path}: can't be read: {_one_line(error)}") from error

    def _read(self) -> Iterator[Any]:
        if self.parquet:
            text = [
                field.name
                for field in pa.parquet.read_schema(self.path)
                if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
            ]
            file = pa.parquet.ParquetFile(self.path, read_dictionary=text)
            yield from file.iter_batches(batch_size=1 << 18, columns=self.columns)
        else:
            convert = pa.csv.ConvertOptions(
                include_columns=self.columns,
                column_types=dict.fromkeys(self.columns, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=NULLS,
            )
            read = pa.csv.ReadOptions(block_size=1 << 24)
            with pa.csv.open_csv(
                self.path, read_options=read, parse_options=self._parse(), convert_options=convert
            ) as reader:
                yield from reader

    def problem(self, line: int, column: str, message: str) -> FileError:
        """An error at a place of this file; rows of a Parquet file count from 1."""
        return FileError(f"{self.path}, {'row' if self.parquet else 'line'} {line}, column {column!r}: {message}")

    def numbers(self, array: Any, line: int, column: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The column as float64 and which rows have a value; raises FileError at the first that isn't a number."""
        try:
            values = pc.cast(_decoded(array), pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            for offset, value in enumerate(array.to_pylist()):
                if value is not None and not _is_number(value):
                    raise self.problem(line + offset, column, f"must be a number. Got: {value!r}") from error
            raise self.problem(line, column, f"must be numbers: {_one_line(error)}") from error
        given = np.asarray(pc.is_valid(values))
        return np.asarray(pc.fill_null(values, 0.0), np.float64), given

    def timestamps(self, array: Any, line: int, column: str, form: str, zone: str) -> NDArray[np.int64]:
        """The column as µs since 2000-01-01 UTC; text is read by `form`, in `zone` where it names none."""
        array = _decoded(array)
        if array.null_count:
            empty = int(np.flatnonzero(np.asarray(pc.is_null(array)))[0])
            raise self.problem(line + empty, column, "is empty; must be a timestamp")
        try:
            moments = _moments(array, form, zone)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            for offset in range(len(array)):
                try:
                    _moments(array.slice(offset, 1), form, zone)
                except pa.ArrowInvalid:
                    allowed = {"iso": "ISO 8601", "unix_s": "seconds since 1970", "unix_ms": "milliseconds since 1970"}
                    raise self.problem(
                        line + offset,
                        column,
                        f"must be a timestamp ({allowed.get(form, form)}). Got: {array[offset].as_py()!r}",
                    ) from error
            raise self.problem(line, column, f"must be timestamps: {_one_line(error)}") from error
        return np.asarray(moments.cast(pa.int64()), np.int64) - UNIX_OFFSET_US


def _decoded(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return not isinstance(value, bool)


def _moments(array: Any, form: str, zone: str) -> Any:
    """Arrow timestamps[us, UTC]; raises ArrowInvalid."""
    utc = pa.timestamp("us", "UTC")
    if pa.types.is_timestamp(array.type):
        # Nanoseconds are cut to what Postgres keeps.
        array = pc.cast(array, pa.timestamp("us", array.type.tz), safe=False)
        return array.cast(utc) if array.type.tz else pc.assume_timezone(array, zone).cast(utc)
    if form in ("unix_s", "unix_ms"):
        scale = 1e6 if form == "unix_s" else 1e3
        return pc.cast(pc.round(pc.multiply(pc.cast(array, pa.float64()), scale)), pa.int64()).cast(utc)
    if form != "iso":
        naive = pc.strptime(array, format=form, unit="us")
        return pc.assume_timezone(naive, zone).cast(utc) if "%z" not in form else naive.cast(utc)
    try:
        return pc.assume_timezone(pc.cast(array, pa.timestamp("us")), zone).cast(utc)
    except pa.ArrowInvalid:  # with a zone of their own
        return pc.cast(array, utc)


def _one_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
