"""Readings as columns: what decoding makes, the spool keeps and the writer lands."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Timestamps are microseconds since 2000-01-01 UTC, as Postgres stores them.
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
UNIX_OFFSET_US: Final = 946_684_800_000_000
NO_TIME: Final = np.iinfo(np.int64).min
# What a datetime can hold; servers send times beyond it.
OLDEST_US: Final = (datetime(1, 1, 2, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
NEWEST_US: Final = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)

# kind of a row: what its value is.
NULL, NUMBER, TEXT, REJECTED = 0, 1, 2, 3

ROW: Final = np.dtype(
    [
        ("source_ts", "<i8"),
        ("server_ts", "<i8"),
        ("value", "<f8"),
        ("tag_id", "<i4"),
        ("status", "<u4"),
        ("text", "<i4"),  # index into the texts of the batch, -1 for none
        ("kind", "u1"),
    ]
)
Rows = NDArray[np.void]

# BadNodeIdUnknown and BadNodeIdInvalid; the lower half of a status only adds to what the upper one says.
NODE_GONE: Final = (0x8034_0000, 0x8033_0000)
STATUS_CODE: Final = 0xFFFF_0000

# Where readings come from, as `raw.origin` names it; the place in this list is the code in the spool.
LIVE, HISTORY, BACKFILL = "live", "history", "backfill"
_ORIGINS: Final = (LIVE, HISTORY, BACKFILL)

# Version, origin, received, connected, and the counts of rows, texts and bytes of lengths; version 1 knew no origin.
_HEAD: Final = struct.Struct("<BBqqIII")
_HEAD_1: Final = struct.Struct("<BqqIII")
_VERSION: Final = 2


def to_us(moment: datetime) -> int:
    """Microseconds since 2000-01-01 UTC of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(us: int) -> datetime:
    """The inverse of `to_us`; raises OverflowError outside the years 1–9999."""
    return EPOCH + timedelta(microseconds=int(us))


@dataclass(frozen=True)
class Readings:
    """A batch of rows (dtype ROW) with their texts, when they were received, when their connection began, and their
    origin: `live` from a subscription, `history` from a server's past, `backfill` from files."""

    rows: Rows
    texts: list[str] = field(default_factory=list)
    received_us: int = 0
    connected_us: int = 0
    origin: str = LIVE

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, index: slice | NDArray[Any]) -> Readings:
        """Some of the rows, with all that is said of the batch."""
        return replace(self, rows=self.rows[index])

    def text(self, row: np.void) -> str | None:
        """The text of a row: its value, or the reason of a rejected one."""
        return self.texts[row["text"]] if row["text"] >= 0 else None


def node_gone(rows: Rows) -> NDArray[np.bool_]:
    """Which rows say that their node is gone: those tell of no value, and of no sign of life."""
    return np.isin(rows["status"] & STATUS_CODE, NODE_GONE)


def empty_rows(count: int) -> Rows:
    """`count` rows without value, text or timestamps."""
    rows = np.zeros(count, ROW)
    rows["source_ts"] = NO_TIME
    rows["server_ts"] = NO_TIME
    rows["text"] = -1
    return rows


def concatenate(batches: Sequence[Readings]) -> Readings:
    """One batch of several of one origin; the times are those of the last."""
    if len(batches) == 1:
        return batches[0]
    if any(batch.origin != batches[0].origin for batch in batches):
        raise ValueError("batches of different origins don't make one batch")
    rows = np.concatenate([batch.rows for batch in batches])
    texts: list[str] = []
    start = 0
    for batch in batches:
        part = rows[start : start + len(batch)]
        if batch.texts:
            part["text"][part["text"] >= 0] += len(texts)
            texts.extend(batch.texts)
        start += len(batch)
    return replace(batches[-1], rows=rows, texts=texts)


def to_bytes(readings: Readings) -> bytes:
    """The batch as it lies in the spool."""
    texts = [text.encode("utf-8", "surrogatepass") for text in readings.texts]
    lengths = np.array([len(text) for text in texts], "<u4").tobytes()
    origin = _ORIGINS.index(readings.origin)
    head = _HEAD.pack(
        _VERSION, origin, readings.received_us, readings.connected_us, len(readings.rows), len(texts), len(lengths)
    )
    return b"".join([head, np.ascontiguousarray(readings.rows).data, lengths, *texts])


def from_bytes(payload: bytes) -> Readings:
    """The inverse of `to_bytes`; raises ValueError for what it didn't write."""
    head = _HEAD_1 if payload[:1] == b"\x01" else _HEAD
    if len(payload) < head.size:
        raise ValueError("too short for a batch")
    version, *origin, received, connected, count, n_texts, n_lengths = head.unpack_from(payload)
    if version not in (1, _VERSION) or n_lengths != 4 * n_texts or any(code >= len(_ORIGINS) for code in origin):
        raise ValueError(f"not a batch of version {_VERSION}")
    at = head.size + count * ROW.itemsize
    rows = np.frombuffer(payload, ROW, count, head.size).copy()
    lengths = np.frombuffer(payload, "<u4", n_texts, at)
    at += n_lengths
    texts = []
    for length in lengths.tolist():
        texts.append(payload[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    if at != len(payload):
        raise ValueError("length doesn't fit the head")
    return Readings(rows, texts, received, connected, _ORIGINS[origin[0]] if origin else LIVE)


def safe_text(text: str) -> str:
    """The text as Postgres can store it: NUL and lone surrogates become U+FFFD."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_NAN_BITS: Final = np.uint64(0x7FF8000000000000)
_NULL_BITS: Final = np.uint64(0xFFF8000000000000)


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One step of SplitMix64 (Steele et al., 2014): every bit of the input moves every bit of the output."""
    with np.errstate(over="ignore"):
        z = x + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def digests(rows: Rows, texts: Sequence[str]) -> NDArray[np.int64]:
    """A hash of value and status for each row: one reading that comes twice has one digest, two readings have two."""
    value = rows["value"]
    bits = np.ascontiguousarray(value).view(np.uint64).copy()
    bits[np.isnan(value)] = _NAN_BITS
    bits[rows["kind"] == NULL] = _NULL_BITS
    status = splitmix64(rows["status"].astype(np.uint64))
    mixed = splitmix64(bits ^ status)
    textual = rows["kind"] == TEXT
    if textual.any():
        known = np.array([_text_bits(text) for text in texts], np.uint64)
        mixed[textual] = known[rows["text"][textual]] ^ status[textual]
    return mixed.view(np.int64)


def _text_bits(text: str) -> int:
    return int.from_bytes(blake2b(safe_text(text).encode(), digest_size=8).digest(), "little")
