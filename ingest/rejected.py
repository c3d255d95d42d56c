"""Readings that couldn't be used, in `raw.rejected_events`: written with their reason, listed, exported, tried again.

A reading is turned away once, however often a spool is read again. A retry judges it by what plant.yml says now and
lands what has become usable, in one transaction with the mark that it has; a second retry finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from ingest.decoding import SEPARATOR
from ingest.readings import (
    NEWEST_US,
    NO_TIME,
    NULL,
    NUMBER,
    OLDEST_US,
    REJECTED,
    TEXT,
    Readings,
    safe_text,
    to_datetime,
)

_KINDS: Final = {NULL: "null", NUMBER: "number", TEXT: "text", REJECTED: "unsupported"}


@dataclass(frozen=True)
class Rejected:
    """A reading that can't be used; times are µs since 2000-01-01 UTC."""

    reason: str
    tag_id: int | None = None
    source_us: int = NO_TIME
    payload: str | None = None
    status: int | None = None
    kind: str | None = None
    server_us: int = NO_TIME
    received_us: int = NO_TIME


def rejection(readings: Readings, row: NDArray[np.void] | np.void, reason: str) -> Rejected:
    """Why a row of `readings` can't be used, with what it said."""
    text = readings.text(row)  # type: ignore[arg-type]
    payload = text if text is not None else repr(float(row["value"])) if row["kind"] == NUMBER else None
    if row["kind"] == REJECTED and payload is not None:
        payload = payload.partition(SEPARATOR)[2] or None
    source_us = int(row["source_ts"])
    if source_us != NO_TIME and not OLDEST_US <= source_us <= NEWEST_US:
        payload = f"{'' if payload is None else payload} at {source_us} µs since 2000-01-01"
    return Rejected(
        reason,
        int(row["tag_id"]),
        source_us,
        payload,
        int(row["status"]),
        _KINDS.get(int(row["kind"]), "unsupported"),
        int(row["server_ts"]),
        readings.received_us,
    )


def reject(
    connection: psycopg.Connection, server: str, nodes: dict[int, str], rejected: Sequence[Rejected], origin: str
) -> None:
    """Rows for `raw.rejected_events`, each once; a time that no datetime can hold is NULL and stands in the payload."""
    connection.cursor().executemany(
        "INSERT INTO raw.rejected_events (tag_id, server, node_id, source_ts, server_ts, received_at, payload, kind,"
        " status, reason, origin) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [
            (
                r.tag_id,
                server,
                nodes.get(r.tag_id) if r.tag_id is not None else None,
                _moment(r.source_us),
                _moment(r.server_us),
                _moment(r.received_us),
                safe_text(r.payload) if r.payload is not None else None,
                r.kind,
                r.status,
                r.reason,
                origin,
            )
            for r in rejected
        ],
    )


def _moment(us: int) -> datetime | None:
    return to_datetime(us) if OLDEST_US <= us <= NEWEST_US else None
