"""Which of an export's own columns are those of an enterprise table. Reads and checks maps that name a `table`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ingest.errors import FileError, MapFileError
from ingest.files.contracts import CONTRACTS
from ingest.files.rows import FileRows
from ingest.files.values import RowError, moment
from ingest.plant import first_problem, read_yaml
from ingest.section import Number, Section, TimeZone

_PLACEHOLDER = re.compile(r"{(\w+)}")


class Match(Section):
    """Whether a row has its like in another file of the same folder: `matched` if so, else `unmatched`."""

    file: str
    by: dict[str, str] = Field(min_length=1, description="columns of this file: columns of the other")
    ignored: list[str] = Field([], description="columns of the other file that are knowingly left out")
    matched: str
    unmatched: str


class Origin(Section):
    """Where a column's value comes from: exactly one of column, template, value, match."""

    column: str | None = None
    template: str | None = Field(None, description="such as M-{machineID}-{datetime}")
    value: Any = Field(None, description="the same in every row")
    match: Match | None = None
    values: dict[str, str] = Field({}, description="what the column says: what the table calls it")
    format: str | None = Field(None, description="of a time that isn't ISO 8601: a strptime format")
    delay_s: Number = Field(0.0, description="added to a time")
    years_before: date | None = Field(None, description="the column is an age in years on this day")

    @model_validator(mode="after")
    def _one_of_four(self) -> Origin:
        if sum(given is not None for given in (self.column, self.template, self.value, self.match)) != 1:
            raise ValueError("give exactly one of column, template, value, match")
        if self.column is None and (self.values or self.format or self.delay_s or self.years_before):
            raise ValueError("values, format, delay_s and years_before go with column")
        return self

    @property
    def needs(self) -> list[str]:
        """The columns of the file that it reads."""
        if self.match is not None:
            return list(self.match.by)
        return [self.column] if self.column is not None else _PLACEHOLDER.findall(self.template or "")


def _short(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class TableMap(Section):
    """The whole file; times without a zone are in `timezone`."""

    table: str
    separator: str = Field(",", min_length=1, max_length=1)
    timezone: TimeZone = "UTC"
    columns: dict[str, Annotated[Origin, BeforeValidator(_short)]]
    ignored: list[str] = Field([], description="columns that are knowingly left out; others are an error")

    @model_validator(mode="after")
    def _fits_the_contract(self) -> TableMap:
        if self.table not in CONTRACTS:
            raise ValueError(f"table must be one of {', '.join(CONTRACTS)}. Got: {self.table!r}")
        contract = CONTRACTS[self.table]
        if unknown := [name for name in self.columns if name not in contract.names]:
            raise ValueError(f"columns: {self.table} has no {unknown[0]!r}; it has: {', '.join(contract.names)}")
        if missing := [c.name for c in contract.columns if c.required and c.name not in self.columns]:
            raise ValueError(f"columns: {missing[0]!r} is missing; {self.table} needs it")
        if both := [name for name in self.ignored if name in self.needed]:
            raise ValueError(f"ignored: column {both[0]!r} is mapped as well")
        return self

    @property
    def needed(self) -> list[str]:
        """The columns of the file that it reads, each once."""
        return list(dict.fromkeys(name for origin in self.columns.values() for name in origin.needs))

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Shaper:
    """Turns rows of an export into rows of the table; files to match with are read once, from `folder`."""

    def __init__(self, mapping: TableMap, folder: Path) -> None:
        self._mapping = mapping
        self._known = {
            name: _keys(folder / origin.match.file, origin.match, mapping.separator)
            for name, origin in mapping.columns.items()
            if origin.match is not None
        }

    def shape(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The table's columns, not yet read by its contract; raises RowError."""
        return {name: self._value(name, origin, given) for name, origin in self._mapping.columns.items()}

    def _value(self, name: str, origin: Origin, given: Mapping[str, Any]) -> Any:
        if origin.match is not None:
            found = tuple(_plain(given[column]) for column in origin.match.by) in self._known[name]
            return origin.match.matched if found else origin.match.unmatched
        if origin.template is not None:
            if empty := [column for column in origin.needs if given[column] is None]:
                raise RowError(empty[0], "is empty")
            return _PLACEHOLDER.sub(lambda match: _plain(given[match[1]]), origin.template)
        if origin.column is None:
            return origin.value
        value = given[origin.column]
        if value is None:
            return None
        if origin.values:
            if _plain(value) not in origin.values:
                raise RowError(origin.column, f"must be one of {', '.join(origin.values)}. Got: {value!r}")
            return origin.values[_plain(value)]
        try:
            if origin.years_before is not None:
                return _years_before(origin.years_before, float(value))
            if origin.format or origin.delay_s:
                return moment(value, self._mapping.zone, origin.format or "iso") + timedelta(seconds=origin.delay_s)
        except (ValueError, TypeError, OverflowError) as error:
            what = "an age in years" if origin.years_before else f"a timestamp ({origin.format or 'ISO 8601'})"
            raise RowError(origin.column, f"must be {what}. Got: {value!r}") from error
        return value


def _years_before(day: date, years: float) -> date:
    """`day` less whole years; parts of a year count as days of 365.25 a year."""
    whole = int(years // 1)
    try:
        earlier = day.replace(year=day.year - whole)
    except ValueError:  # 29 February
        earlier = day.replace(year=day.year - whole, day=28)
    return earlier - timedelta(days=round((years - whole) * 365.25))


def _keys(path: Path, match: Match, separator: str) -> set[tuple[str, ...]]:
    rows = FileRows(path, list(match.by.values()), [], match.ignored, separator)
    keys = set()
    for line, given in rows.rows():
        if isinstance(given, str):
            raise FileError(f"{rows.place(line, None)}: has too few or too many fields: {given}")
        keys.add(tuple(_plain(given[column]) for column in match.by.values()))
    return keys


def _plain(value: Any) -> str:
    return str(value).strip()


def load_table_map(path: Path) -> TableMap:
    """Read and check a map of an enterprise table.

    Raises MapFileError, one line that names the file, the place, what is wrong and what is allowed.
    """
    document = read_yaml(path, MapFileError)
    try:
        return TableMap.model_validate(document)
    except ValidationError as error:
        raise MapFileError(f"{path}: {first_problem(error, TableMap)}") from error
