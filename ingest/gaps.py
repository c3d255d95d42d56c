"""The loss ledger, `raw.sensor_gaps`: what could not be had, tag by tag, as tight as can be known.

A gap is opened when values may be missing and closed by the tag's next value. Where that is no newer than the last one
before the gap, the tag didn't change meanwhile and nothing is missing: the gap is marked repaired.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import psycopg

from ingest.landing import Prepared
from ingest.readings import to_datetime

_OVERFLOW = 0x480  # info type data value, overflow


class Gaps:
    """The open gaps of a server's tags. `settle` after the commit, `forget` without one."""

    def __init__(self, tag_ids: Iterable[int]) -> None:
        self._tag_ids = list(tag_ids)
        self._open: dict[int, tuple[int, int]] = {}
        self._closed: list[int] = []

    def restore(self, connection: psycopg.Connection) -> None:
        """Take up the gaps that are open in the warehouse."""
        rows = connection.execute(
            "SELECT tag_id, gap_id, (extract(EPOCH FROM from_ts - '2000-01-01 UTC'::timestamptz) * 1000000)::bigint"
            " FROM raw.sensor_gaps WHERE to_ts IS NULL AND tag_id = ANY(%s)",
            (self._tag_ids,),
        ).fetchall()
        self._open = {row[0]: (row[1], row[2]) for row in rows}
        self._closed = []

    def open(
        self, connection: psycopg.Connection, latest: dict[int, int], heard_us: int, cause: str, detail: str
    ) -> None:
        """Values may be missing since `heard_us`, or since the latest of a tag if that is later; commits nothing."""
        for tag_id in self._tag_ids:
            if tag_id in self._open or tag_id not in latest:
                continue
            from_us = max(latest[tag_id], heard_us)
            row = connection.execute(
                "INSERT INTO raw.sensor_gaps (tag_id, from_ts, cause, detail) VALUES (%s, %s, %s, %s) RETURNING gap_id",
                (tag_id, to_datetime(from_us), cause, detail),
            ).fetchone()
            assert row is not None
            self._open[tag_id] = (row[0], from_us)

    def close(self, connection: psycopg.Connection, prepared: Prepared) -> None:
        """Close the gaps of tags that have a value again."""
        self._closed = []
        if not self._open:
            return
        rows = prepared.readings.rows
        for tag_id in set(np.unique(rows["tag_id"]).tolist()) & self._open.keys():
            gap_id, from_us = self._open[tag_id]
            times = rows["source_ts"][rows["tag_id"] == tag_id]
            later = times[times > from_us]
            connection.execute(
                "UPDATE raw.sensor_gaps SET to_ts = %s, repaired = %s WHERE gap_id = %s",
                (to_datetime(int(later.min()) if len(later) else from_us), not len(later), gap_id),
            )
            self._closed.append(tag_id)

    def overflowed(self, connection: psycopg.Connection, prepared: Prepared, latest: dict[int, int]) -> int:
        """Record the loss that a server admits by the overflow bit; returns how often it did."""
        rows = prepared.readings.rows
        marked = np.flatnonzero(rows["status"] & _OVERFLOW == _OVERFLOW)
        for place in marked.tolist():
            tag_id, source_us = int(rows["tag_id"][place]), int(rows["source_ts"][place])
            earlier = place > 0 and rows["tag_id"][place - 1] == tag_id
            before = int(rows["source_ts"][place - 1]) if earlier else latest.get(tag_id)
            if before is not None and before < source_us:
                connection.execute(
                    "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause) VALUES (%s, %s, %s, 'queue_overflow')",
                    (tag_id, to_datetime(before), to_datetime(source_us)),
                )
        return len(marked)

    def settle(self) -> None:
        """The transaction is committed."""
        for tag_id in self._closed:
            del self._open[tag_id]
        self._closed = []

    def forget(self) -> None:
        """The transaction is rolled back."""
        self._closed = []
