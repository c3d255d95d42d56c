"""A row as it was given, read by the contract of its table: Python values of the columns' types, or what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from ingest.files.contracts import Column, Contract

# Spellings of yes and no in exports.
_BOOLEANS: Final = dict.fromkeys(("true", "t", "1", "yes", "y"), True) | dict.fromkeys(
    ("false", "f", "0", "no", "n"), False
)
_WHAT: Final = {
    "number": "a number",
    "money": "an amount such as 1234.50",
    "integer": "a whole number",
    "boolean": "true or false",
    "date": "a date such as 2024-05-31",
    "time": "a timestamp (ISO 8601)",
    "text": "text in UTF-8",
}
# A date outside is a misread column, or the 9999-12-31 that stands for no end in some systems.
_FIRST_YEAR, _LAST_YEAR = 1900, 2200


class RowError(ValueError):
    """Why a row can't be used: `column` and what is wrong with it. The message ends with what was given."""

    def __init__(self, column: str | None, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def read(contract: Contract, given: Mapping[str, Any], zone: tzinfo = UTC) -> dict[str, Any]:
    """The columns of `given` as typed values, times without a zone in `zone`; raises RowError at a bad one."""
    row = {column.name: _value(column, given[column.name], zone) for column in contract.columns if column.name in given}
    for column in contract.columns:
        if row.get(column.name) is not None:
            _check(column, row)
    return row


def _value(column: Column, given: Any, zone: tzinfo) -> Any:
    if isinstance(given, str):
        given = given.strip()
    if given is None or given == "" or (isinstance(given, float) and math.isnan(given)):
        if column.required:
            raise RowError(column.name, "is empty")
        return None
    try:
        return _READERS[column.type](given, zone)
    except (ValueError, TypeError, InvalidOperation, OverflowError) as error:
        raise RowError(column.name, f"must be {_WHAT[column.type]}. Got: {given!r}") from error


def _check(column: Column, row: Mapping[str, Any]) -> None:
    value = row[column.name]
    if isinstance(value, date) and not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise RowError(column.name, f"must lie between {_FIRST_YEAR} and {_LAST_YEAR}. Got: {value.isoformat()}")
    if column.allowed and value not in column.allowed:
        raise RowError(column.name, f"must be one of {', '.join(column.allowed)}. Got: {value!r}")
    if column.least is not None and value < column.least:
        raise RowError(column.name, f"must be at least {column.least:g}. Got: {value:g}")
    limit = row.get(column.most_of or "")
    if limit is not None and value > limit:
        raise RowError(column.name, f"must be at most {column.most_of}, {limit:g}. Got: {value:g}")
    earlier = row.get(column.after or "")
    if earlier is not None and value <= earlier:
        raise RowError(column.name, f"must be after {column.after}, {earlier.isoformat()}. Got: {value.isoformat()}")
    earlier = row.get(column.not_before or "")
    if earlier is not None and value < earlier:
        raise RowError(
            column.name, f"must not be before {column.not_before}, {earlier.isoformat()}. Got: {value.isoformat()}"
        )


def moment(given: Any, zone: tzinfo, form: str = "iso") -> datetime:
    """A timestamp with its zone; text is read as ISO 8601 or by a strptime `form`. Raises ValueError or TypeError."""
    if isinstance(given, datetime):
        found = given
    elif isinstance(given, date):
        found = datetime.combine(given, time())
    elif not isinstance(given, str):
        raise TypeError("neither a time nor text")
    else:
        found = datetime.fromisoformat(given) if form == "iso" else datetime.strptime(given, form)  # noqa: DTZ007
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _text(given: Any, _zone: tzinfo) -> str:
    if isinstance(given, float) and given.is_integer():
        return str(int(given))  # an id that came as 7.0
    if isinstance(given, bytes):
        raise TypeError("bytes")
    text = str(given)
    text.encode()  # a lone surrogate stands for a byte that isn't UTF-8
    if "\x00" in text:
        raise ValueError("NUL")
    return text


def _number(given: Any, _zone: tzinfo) -> float:
    if isinstance(given, bool) or (isinstance(given, str) and "_" in given):
        raise ValueError("not a number")
    number = float(given)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _money(given: Any, zone: tzinfo) -> Decimal:
    if abs(_number(given, zone)) >= 1e10:
        raise ValueError("more than the column holds")
    return Decimal(str(given))


def _integer(given: Any, zone: tzinfo) -> int:
    number = _number(given, zone)
    if number != int(number) or abs(number) >= 2**31:
        raise ValueError("not whole, or more than the column holds")
    return int(number)


def _boolean(given: Any, _zone: tzinfo) -> bool:
    if isinstance(given, bool):
        return given
    try:
        return _BOOLEANS[str(given).lower()]
    except KeyError as error:
        raise ValueError("not a boolean") from error


def _date(given: Any, zone: tzinfo) -> date:
    return moment(given, zone).date()


_READERS: Final[dict[str, Callable[[Any, tzinfo], Any]]] = {
    "text": _text,
    "number": _number,
    "money": _money,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "time": moment,
}
