"""Arrays as Postgres takes them in binary, built in numpy: no Python object a value."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_TEXT_OID: Final = 25
# Element types by numpy's name of what is sent: timestamps are sent as the int8 that they are inside.
INTEGER: Final = (">i4", 23)
BIGINT: Final = (">i8", 20)
FLOAT: Final = (">f8", 701)
TIMESTAMPTZ: Final = (">i8", 1184)


@dataclass(frozen=True)
class PostgresArray:
    """One parameter: the array in Postgres' binary form."""

    content: bytes


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PostgresArray) -> Buffer | None:
        return obj.content


def cursor(connection: psycopg.Connection) -> psycopg.Cursor:
    """A cursor that takes PostgresArray parameters; the statement casts them, such as `%s::integer[]`."""
    made = connection.cursor()
    made.adapters.register_dumper(PostgresArray, _ArrayDumper)
    return made


def array(
    values: NDArray[np.generic], element: tuple[str, int], null: NDArray[np.bool_] | None = None
) -> PostgresArray:
    """`values` as an array of `element`, NULL where `null` is true."""
    form, oid = element
    cells = np.empty(len(values), [("length", ">i4"), ("value", form)])
    cells["length"] = cells.dtype["value"].itemsize
    cells["value"] = values
    if null is None or not null.any():
        return PostgresArray(_head(oid, len(values), False) + cells.tobytes())
    cells["length"][null] = -1
    # The bytes of a cell without those of the value that a NULL doesn't have.
    kept = np.ones((len(values), cells.dtype.itemsize), bool)
    kept[null, 4:] = False
    content = cells.view("u1").reshape(kept.shape)[kept].tobytes()
    return PostgresArray(_head(oid, len(values), True) + content)


def text_array(texts: Sequence[str | None]) -> PostgresArray:
    """`texts` as text[]; they must be such as Postgres can hold."""
    parts = []
    for text in texts:
        if text is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            encoded = text.encode()
            parts.append(struct.pack(">i", len(encoded)) + encoded)
    return PostgresArray(_head(_TEXT_OID, len(texts), True) + b"".join(parts))


def _head(oid: int, count: int, nulls: bool) -> bytes:
    # dimensions, whether there are NULLs, element type, length, first index
    return struct.pack(">iiIii", 1, int(nulls), oid, count, 1)
