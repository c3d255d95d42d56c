"""The loss ledger, `raw.sensor_gaps`: what could not be had, tag by tag, as tight as can be known.

A gap is opened when values may be missing and ended by the tag's next value. What lands inside an ended gap later, from
the server's history above all, takes that stretch out of it: no landed value ever lies inside an unrepaired gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
import psycopg

from ingest.landing.events import Prepared
from ingest.landing.notes import Loss, Resumed, Verdict
from ingest.readings import HISTORY, LIVE, NO_TIME, NODE_GONE, STATUS_CODE, node_gone, to_datetime

OVERFLOW: Final = 0x480  # info type data value, overflow
CLOCK_WENT_BACK: Final = "none: the source's clock went back"
# A historian may commit minutes after the fact; after the last of these it has had its time.
RETRY_AFTER: Final = tuple(timedelta(seconds=s) for s in (0, 2, 10, 60, 600))
_AS_US: Final = "(extract(EPOCH FROM {} - '2000-01-01 UTC'::timestamptz) * 1000000)::bigint"
_DUE: Final = f"""
    SELECT g.tag_id, {_AS_US.format("g.from_ts")}, {_AS_US.format("g.to_ts")},
        {_AS_US.format("coalesce(anchor.source_ts, g.from_ts)")}, g.attempts
    FROM raw.sensor_gaps AS g
    LEFT JOIN LATERAL (
        SELECT e.source_ts FROM raw.sensor_events AS e
        WHERE e.tag_id = g.tag_id AND e.source_ts <= g.from_ts ORDER BY e.source_ts DESC LIMIT 1
    ) AS anchor ON true
    WHERE NOT g.repaired AND g.repair IS NULL AND g.to_ts IS NOT NULL AND g.tag_id = ANY(%s)
        AND (g.tried_at IS NULL OR g.tried_at + (%s::interval[])[least(g.attempts + 1, %s)] <= %s)
    ORDER BY g.from_ts, g.tag_id LIMIT %s"""

# What a server goes on telling of a deleted node is a row, and no value.
_IS_VALUE: Final = f"(e.status & {STATUS_CODE}) NOT IN ({', '.join(map(str, NODE_GONE))})"
_LAST_VALUES: Final = f"""
    SELECT t.tag_id, {_AS_US.format("last.source_ts")} FROM unnest(%s::integer[]) AS t (tag_id) CROSS JOIN LATERAL (
        SELECT e.source_ts FROM raw.sensor_events AS e
        WHERE e.tag_id = t.tag_id AND {_IS_VALUE} ORDER BY e.source_ts DESC LIMIT 1
    ) AS last"""


class _Open(NamedTuple):
    gap_id: int
    from_us: int
    noted_us: int
    loss_id: str


@dataclass(frozen=True)
class Gap:
    """An ended gap that the server's history may fill; times in µs since 2000."""

    tag_id: int
    from_us: int
    to_us: int
    anchor_us: int
    """the tag's newest landed value at or before the gap: a history that has it has what follows"""
    attempts: int


class Gaps:
    """The gaps of a server's tags. `settle` after the commit, `forget` without one."""

    def __init__(self, tag_ids: Iterable[int]) -> None:
        self._tag_ids = list(tag_ids)
        self._open: dict[int, _Open] = {}
        self._changed: dict[int, _Open | None] = {}

    def restore(self, connection: psycopg.Connection) -> None:
        """Take up the gaps that are open in the warehouse."""
        rows = connection.execute(
            f"SELECT tag_id, gap_id, {_AS_US.format('from_ts')}, {_AS_US.format('noted_at')}, loss_id::text"
            " FROM raw.sensor_gaps WHERE to_ts IS NULL AND tag_id = ANY(%s)",
            (self._tag_ids,),
        ).fetchall()
        self._open = {tag_id: _Open(*rest) for tag_id, *rest in rows}
        self._changed = {}

    def open(
        self, connection: psycopg.Connection, server: str, loss: Loss, latest: Mapping[int, int], since_us: int | None
    ) -> None:
        """Values may be missing since `since_us`, or since the latest of a tag if that is later; commits nothing.

        A loss that is recorded already, by a worker that died before it could forget it, changes nothing.
        """
        fresh = connection.execute(
            "INSERT INTO raw.losses (loss_id, server, cause, detail, noted_at, heard_at)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                loss.loss_id,
                server,
                loss.cause,
                loss.detail,
                to_datetime(loss.noted_us),
                None if since_us is None else to_datetime(since_us),
            ),
        ).rowcount
        touched = self._tag_ids
        if loss.tag_ids is not None:
            touched = [tag_id for tag_id in loss.tag_ids if tag_id in latest]
            latest = dict(connection.execute(_LAST_VALUES, (touched,)).fetchall())
        begins = {
            tag_id: latest[tag_id] if since_us is None else max(latest[tag_id], since_us)
            for tag_id in touched
            if tag_id in latest and tag_id not in self._open
        }
        if not fresh or not begins:
            return
        rows = connection.execute(
            "INSERT INTO raw.sensor_gaps (tag_id, from_ts, cause, detail, loss_id, noted_at)"
            " SELECT tag_id, from_ts, %s, %s, %s, %s"
            " FROM unnest(%s::integer[], %s::timestamptz[]) AS t (tag_id, from_ts) RETURNING tag_id, gap_id",
            (
                loss.cause,
                loss.detail,
                loss.loss_id,
                to_datetime(loss.noted_us),
                list(begins),
                [to_datetime(us) for us in begins.values()],
            ),
        ).fetchall()
        for tag_id, gap_id in rows:
            self._changed[tag_id] = _Open(gap_id, begins[tag_id], loss.noted_us, loss.loss_id)

    def resumed(self, connection: psycopg.Connection, note: Resumed) -> None:
        """The gaps of an outage are void: the subscription outlived it. Commits nothing."""
        void = {tag_id: gap for tag_id, gap in self._open.items() if gap.loss_id == note.loss_id}
        connection.execute(
            "UPDATE raw.sensor_gaps SET to_ts = greatest(from_ts, %s), repaired = true, repair = 'resumed'"
            " WHERE gap_id = ANY(%s)",
            (to_datetime(note.noted_us), [gap.gap_id for gap in void.values()]),
        )
        self._changed.update(dict.fromkeys(void))

    def close(self, connection: psycopg.Connection, prepared: Prepared, latest: Mapping[int, int]) -> None:
        """End the gaps of tags that have a live value again, where `latest` is what had landed before; commits nothing.

        A tag that comes back with the value it had hasn't changed: nothing is missing. Where its next value lies
        before the gap's beginning, that was set by a clock that isn't the source's; the latest value sets it then.
        """
        readings = prepared.readings
        if not self._open or readings.origin != LIVE or not len(readings):
            return
        rows = readings.rows[~node_gone(readings.rows)]
        ends: list[tuple[datetime, datetime, bool, str | None, int]] = []
        for tag_id in set(np.unique(rows["tag_id"]).tolist()) & self._open.keys():
            gap = self._open[tag_id]
            if readings.received_us < gap.noted_us:
                continue  # spooled before the loss, and read again after a crash
            before = latest.get(tag_id, gap.from_us)
            times = rows["source_ts"][rows["tag_id"] == tag_id]
            later = times[times > before]
            if len(later):
                end = int(later.min())
                begin = gap.from_us if gap.from_us < end else before
                ends.append((to_datetime(begin), to_datetime(end), False, None, gap.gap_id))
            else:
                same = bool((times == before).any())
                at = to_datetime(gap.from_us)
                ends.append((at, at, same, "unchanged" if same else CLOCK_WENT_BACK, gap.gap_id))
            self._changed[tag_id] = None
        connection.cursor().executemany(
            "UPDATE raw.sensor_gaps SET from_ts = %s, to_ts = %s, repaired = %s, repair = %s WHERE gap_id = %s", ends
        )
        # A backfill may have landed in it while it was open.
        inside = connection.execute(
            f"SELECT g.gap_id, {_AS_US.format('g.from_ts')}, {_AS_US.format('min(e.source_ts)')},"
            f" {_AS_US.format('max(e.source_ts)')}, {_AS_US.format('g.to_ts')} FROM raw.sensor_gaps AS g"
            " JOIN raw.sensor_events AS e ON e.tag_id = g.tag_id AND e.source_ts > g.from_ts AND e.source_ts < g.to_ts"
            f" AND {_IS_VALUE} WHERE g.gap_id = ANY(%s) AND NOT g.repaired GROUP BY g.gap_id",
            ([end[-1] for end in ends],),
        ).fetchall()
        for gap_id, begin, low, high, end in inside:
            _split(connection, gap_id, begin, low, high, end, "late")

    def overflowed(self, connection: psycopg.Connection, prepared: Prepared) -> int:
        """Record the loss that a server admits by the overflow bit, where the rows have just been inserted.

        The values it dropped lay between the marked one and the one before. Returns how often it did.
        """
        rows = prepared.readings.rows
        marked = rows[rows["status"] & OVERFLOW == OVERFLOW]
        if len(marked):
            connection.execute(
                "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause)"
                " SELECT t.tag_id, before.source_ts, t.source_ts, 'queue_overflow'"
                " FROM unnest(%s::integer[], %s::timestamptz[]) AS t (tag_id, source_ts) CROSS JOIN LATERAL"
                " (SELECT e.source_ts FROM raw.sensor_events AS e WHERE e.tag_id = t.tag_id"
                " AND e.source_ts < t.source_ts ORDER BY e.source_ts DESC LIMIT 1) AS before"
                " WHERE NOT EXISTS (SELECT FROM raw.sensor_gaps AS g WHERE g.tag_id = t.tag_id"
                " AND g.cause = 'queue_overflow' AND g.to_ts = t.source_ts)",
                (marked["tag_id"].tolist(), [to_datetime(us) for us in marked["source_ts"].tolist()]),
            )
        return len(marked)

    def cover(self, connection: psycopg.Connection, prepared: Prepared, latest: Mapping[int, int]) -> None:
        """Take what landed inside ended gaps out of them, where `latest` is what had landed before; commits nothing."""
        readings = prepared.readings
        if not len(readings):
            return
        tags, firsts = np.unique(readings.rows["tag_id"], return_index=True)
        oldest = readings.rows["source_ts"][firsts]
        if readings.origin == LIVE:
            # The rule: newer than all that has landed of the tag, so inside no gap that has ended.
            marks = np.array([latest.get(tag_id, NO_TIME) for tag_id in tags.tolist()], np.int64)
            tags = tags[oldest <= marks]
        if len(tags):
            cover(connection, prepared, tags.tolist(), readings.origin)

    def judge(self, connection: psycopg.Connection, verdict: Verdict) -> None:
        """Note what asking the server's history about a gap came to, for what of it is unrepaired. Commits nothing."""
        connection.execute(
            "UPDATE raw.sensor_gaps SET attempts = attempts + 1, tried_at = %s, repair = %s"
            " WHERE tag_id = %s AND NOT repaired AND from_ts >= %s AND to_ts <= %s AND repair IS NULL",
            (
                to_datetime(verdict.tried_us),
                verdict.repair,
                verdict.tag_id,
                to_datetime(verdict.from_us),
                to_datetime(verdict.to_us),
            ),
        )

    def due(self, connection: psycopg.Connection, moment: datetime, most: int) -> list[Gap]:
        """Ended gaps that the server's history is to be asked about now, the oldest first."""
        rows = connection.execute(_DUE, (self._tag_ids, list(RETRY_AFTER), len(RETRY_AFTER), moment, most)).fetchall()
        return [Gap(*row) for row in rows]

    def settle(self) -> None:
        """The transaction is committed."""
        for tag_id, gap in self._changed.items():
            if gap is None:
                self._open.pop(tag_id, None)
            else:
                self._open[tag_id] = gap
        self._changed = {}

    def forget(self) -> None:
        """The transaction is rolled back."""
        self._changed = {}


def cover(connection: psycopg.Connection, prepared: Prepared, tag_ids: Sequence[int], origin: str) -> None:
    """Take what of `tag_ids` landed inside ended gaps out of them; commits nothing.

    A server's history answers for all of its stretch; other rows for what lies between those inside the gap.
    """
    gaps = connection.execute(
        f"SELECT gap_id, tag_id, {_AS_US.format('from_ts')}, {_AS_US.format('to_ts')} FROM raw.sensor_gaps"
        " WHERE tag_id = ANY(%s) AND NOT repaired AND to_ts > %s AND from_ts < %s",
        (
            list(tag_ids),
            to_datetime(int(prepared.readings.rows["source_ts"].min())),
            to_datetime(int(prepared.readings.rows["source_ts"].max())),
        ),
    ).fetchall()
    rows = prepared.readings.rows
    for gap_id, tag_id, begin, end in gaps:
        times = rows["source_ts"][rows["tag_id"] == tag_id]
        if origin != HISTORY:
            times = times[(times > begin) & (times < end)]
        if not len(times) or (low := int(times.min())) >= end or (high := int(times.max())) <= begin:
            continue
        _split(connection, gap_id, begin, max(low, begin), min(high, end), end, "late" if origin == LIVE else origin)


def _split(connection: psycopg.Connection, gap_id: int, begin: int, low: int, high: int, end: int, repair: str) -> None:
    """[low, high] of the gap from begin to end is had: what is left on either side stays a gap."""
    left = [(a, b) for a, b in ((begin, low), (high, end)) if a < b]
    first = left[0] if left else (begin, end)
    connection.execute(
        "UPDATE raw.sensor_gaps SET from_ts = %s, to_ts = %s, repaired = %s, repair = coalesce(%s, repair)"
        " WHERE gap_id = %s",
        (to_datetime(first[0]), to_datetime(first[1]), not left, None if left else repair, gap_id),
    )
    pieces: list[tuple[int, int, bool, str | None]] = [(a, b, False, None) for a, b in left[1:]]
    if left and low < high:
        pieces.append((low, high, True, repair))
    for a, b, repaired, how in pieces:
        connection.execute(
            "INSERT INTO raw.sensor_gaps"
            " (tag_id, from_ts, to_ts, cause, detail, loss_id, noted_at, attempts, tried_at, repaired, repair)"
            " SELECT tag_id, %s, %s, cause, detail, loss_id, noted_at, attempts, tried_at, %s, coalesce(%s, repair)"
            " FROM raw.sensor_gaps WHERE gap_id = %s",
            (to_datetime(a), to_datetime(b), repaired, how, gap_id),
        )
