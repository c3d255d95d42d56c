"""What a fault did: the server's log of offered values against the warehouse's rows, gaps and rejects."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import psycopg

from tests.e2e.faults.counters import HZ, TAGS, value_of
from tests.e2e.faults.worker import PUBLISHING_MS, node

_US_A_TICK = 1_000_000 // HZ
_US = "(extract(EPOCH FROM {}) * 1000000)::bigint"


@dataclass(frozen=True)
class Outage:
    """When nobody could collect, in microseconds since 1970: from the fault until the server was subscribed again."""

    began: int
    ended: int


@dataclass(frozen=True)
class Row:
    """A row of the matrix; values are counted over all counters, gaps and outages in seconds.

    `gap_s` is of the tag that has most of it. `widest_gap_over_s` is by how much the widest single gap exceeds the
    outage it belongs to: at most one publishing interval, and negative where it is narrower.
    """

    fault: str
    server: str
    times: int
    offered: int
    landed: int
    rejected: int
    duplicates: int
    wrong: int
    lost_in_ledger: int
    lost_not_in_ledger: int
    landed_in_gap: int
    gap_s: float
    outage_s: float
    widest_gap_over_s: float | None
    publishing_interval_s: float = PUBLISHING_MS / 1000

    @property
    def lost(self) -> int:
        return self.lost_in_ledger + self.lost_not_in_ledger


@dataclass(frozen=True)
class Seen:
    """What the warehouse holds of one tag, times in microseconds since 1970: rows, unrepaired gaps, rejects."""

    rows: list[tuple[int, int]]
    gaps: list[tuple[int, int]]
    rejected: set[int]


def look(admin: psycopg.Connection, tag: int) -> Seen:
    """Read the warehouse; a gap that is still open reaches to the end of time."""
    query = "SELECT {} FROM {} WHERE tag_id = (SELECT tag_id FROM raw.tags WHERE node_id = %s) {}"
    rows = admin.execute(
        query.format(f"{_US.format('source_ts')}, value", "raw.sensor_events", "AND status >> 30 = 0"), (node(tag),)
    ).fetchall()
    until = _US.format("coalesce(to_ts, '2200-01-01')")
    gaps = admin.execute(
        query.format(f"{_US.format('from_ts')}, {until}", "raw.sensor_gaps", "AND NOT repaired"), (node(tag),)
    ).fetchall()
    rejected = admin.execute(
        query.format(_US.format("source_ts"), "raw.rejected_events", "AND source_ts IS NOT NULL"), (node(tag),)
    ).fetchall()
    return Seen([(us, int(value)) for us, value in rows if value is not None], gaps, {row[0] for row in rejected})


def judge(
    admin: psycopg.Connection,
    offered: list[list[int]],
    since: int,
    fault: str,
    server: str,
    times: int,
    outages: list[Outage],
) -> Row:
    """The row of a fault over the ticks from `since` on; `offered` is the server's own log, tag by tag."""
    counts = dict.fromkeys(("offered", "landed", "rejected", "duplicates", "wrong", "ledger", "lost", "in_gap"), 0)
    gap_s = 0.0
    over: list[float] = []
    for tag in range(len(TAGS)):
        seen = look(admin, tag)
        ticks = [tick for tick in offered[tag] if tick >= since]
        known = set(offered[tag])
        correct = [us for us, value in seen.rows if us % _US_A_TICK == 0 and value == value_of(tag, us // _US_A_TICK)]
        landed = {us // _US_A_TICK for us in correct} & known
        counts["offered"] += len(ticks)
        counts["landed"] += len(landed.intersection(ticks))
        counts["duplicates"] += len(correct) - len(set(correct))
        counts["wrong"] += len(seen.rows) - len(correct) + len({us // _US_A_TICK for us in correct} - known)
        for tick in set(ticks) - landed:
            us = tick * _US_A_TICK
            if us in seen.rejected:
                counts["rejected"] += 1
            elif any(begin <= us <= end for begin, end in seen.gaps):
                counts["ledger"] += 1
            else:
                counts["lost"] += 1
        counts["in_gap"] += sum(begin < us < end for us in correct for begin, end in seen.gaps)
        gap_s = max(gap_s, sum(end - begin for begin, end in seen.gaps) / 1e6)
        over += [(end - begin - _measured(offered[tag], begin, end, outages)) / 1e6 for begin, end in seen.gaps]
    return Row(
        fault,
        server,
        times,
        counts["offered"],
        counts["landed"],
        counts["rejected"],
        counts["duplicates"],
        counts["wrong"],
        counts["ledger"],
        counts["lost"],
        counts["in_gap"],
        round(gap_s, 3),
        round(sum(outage.ended - outage.began for outage in outages) / 1e6, 3),
        round(max(over), 3) if over else None,
    )


def _measured(ticks: list[int], begin: int, end: int, outages: list[Outage]) -> int:
    """The longest outage that a gap touches, in what was offered: last value before it to first value after it."""
    margin = PUBLISHING_MS * 1000 + _US_A_TICK
    longest = 0
    for outage in outages:
        if end < outage.began - margin or begin > outage.ended + margin:
            continue
        before = bisect_right(ticks, outage.began // _US_A_TICK) - 1
        after = bisect_left(ticks, outage.ended // _US_A_TICK)
        first = ticks[before] if before >= 0 else outage.began // _US_A_TICK
        last = ticks[after] if after < len(ticks) else outage.ended // _US_A_TICK
        longest = max(longest, (last - first) * _US_A_TICK)
    return longest
