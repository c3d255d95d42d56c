"""Binary COPY of readings: the buffer is built in numpy, without a Python step a row."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from ingest.readings import NO_TIME, NUMBER, TEXT, Readings, safe_text

COLUMNS: Final = (
    "tag_id", "source_ts", "server_ts", "value", "value_text", "status", "digest", "origin", "available_at",
)  # fmt: skip
HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
TRAILER: Final = struct.pack(">h", -1)
# Rows that are encoded while Postgres is still busy with those before them.
_BLOCK: Final = 8_192


def copy(
    connection: psycopg.Connection,
    table: sql.Composable,
    readings: Readings,
    digest: NDArray[np.int64],
    origin: str,
    available_at: NDArray[np.int64],
    freeze: bool = False,
) -> None:
    """COPY `readings` into `table`, which has COLUMNS. Arrays are a value a row; times are µs since 2000-01-01.

    `freeze` is for a table that this transaction has made: its rows need no vacuum, and no reader marks them.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE {})").format(
        table, columns, sql.SQL("on" if freeze else "off")
    )
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        stream.write(HEADER)
        for start in range(0, len(readings), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = Readings(readings.rows[part], readings.texts)
            stream.write(encode(block, digest[part], origin, available_at[part]))
        stream.write(TRAILER)


def encode(readings: Readings, digest: NDArray[np.int64], origin: str, available_at: NDArray[np.int64]) -> bytes:
    """The rows as tuples of the binary COPY format, header and trailer left out.

    Tuples with the same fields at hand have one length, so each such group is one structured array.
    """
    rows = readings.rows
    timed = rows["server_ts"] != NO_TIME
    parts = []
    for kind_mask, with_value in (
        (rows["kind"] == NUMBER, True),
        ((rows["kind"] != NUMBER) & (rows["kind"] != TEXT), False),
    ):
        for with_server in (True, False):
            mask = kind_mask & (timed if with_server else ~timed)
            if mask.all():
                parts.append(_group(rows, digest, available_at, origin, with_server, with_value))
            elif mask.any():
                parts.append(_group(rows[mask], digest[mask], available_at[mask], origin, with_server, with_value))
    for index in np.flatnonzero(rows["kind"] == TEXT).tolist():
        row = rows[index]
        text = safe_text(readings.texts[row["text"]]).encode()
        server = struct.pack(">iq", 8, row["server_ts"]) if timed[index] else b"\xff\xff\xff\xff"
        parts.append(
            struct.pack(">hiiiq", 9, 4, row["tag_id"], 8, row["source_ts"])
            + server
            + b"\xff\xff\xff\xff"
            + struct.pack(">i", len(text))
            + text
            + struct.pack(">iqiqi", 8, row["status"], 8, digest[index], len(origin))
            + origin.encode()
            + struct.pack(">iq", 8, available_at[index])
        )
    return b"".join(parts)


def _group(
    rows: NDArray[np.void],
    digest: NDArray[np.int64],
    available_at: NDArray[np.int64],
    origin: str,
    with_server: bool,
    with_value: bool,
) -> bytes:
    label = origin.encode()
    fields: list[tuple[str, str, object]] = [
        ("tag_id", ">i4", rows["tag_id"]),
        ("source_ts", ">i8", rows["source_ts"]),
        ("server_ts", ">i8", rows["server_ts"] if with_server else None),
        ("value", ">f8", rows["value"] if with_value else None),
        ("value_text", ">i8", None),
        ("status", ">i8", rows["status"]),
        ("digest", ">i8", digest),
        ("origin", f"S{len(label)}", label),
        ("available_at", ">i8", available_at),
    ]
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, form, values in fields:
        layout.append((f"{name}_length", ">i4"))
        if values is not None:
            layout.append((name, form))
    tuples = np.empty(len(rows), np.dtype(layout))
    tuples["fields"] = len(fields)
    for name, _, values in fields:
        if values is None:
            tuples[f"{name}_length"] = -1
        else:
            tuples[f"{name}_length"] = tuples.dtype[name].itemsize
            tuples[name] = values
    return tuples.tobytes()
