"""The alarms of a server's tags, in the transaction that lands their values.

Most rows change nothing, and which do is asked of whole batches at once: each tag has a band of values that would leave
its alarms as they are. Only tags with a row outside of it are stepped through value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from ingest.alerting import alerts
from ingest.alerting.alarm import Cause, Change, Instant, rules_of
from ingest.alerting.alerts import Watched
from ingest.alerting.trend import Trend
from ingest.landing.events import Prepared
from ingest.limits import Direction, Limits
from ingest.readings import NO_TIME, NUMBER

# So much later than usual when it comes, a value that another has followed already is history, and no cause for alarm.
LATE_US: Final = 60_000_000
# Older timestamps than before are a replay; for so long, or the server's clock has been set back.
SET_BACK_US: Final = 10_000_000
# A worker that was away for longer waits for what the server says.
RESTORED_S: Final = 600.0
_SHELVING_US: Final = 1_000_000
_INITIAL: Final = 0x4092  # UncertainInitialValue: a placeholder, not a reading
Key = tuple[int, Direction]


class Alarms:
    """What is open, and what a batch or a timer changes in it: `settle` after the commit, `forget` without one."""

    def __init__(self, server: str, watched: Sequence[tuple[Watched, Limits]]) -> None:
        self._server = server
        self._watched = {tag.tag_id: tag for tag, _ in watched}
        self._limits = {tag.tag_id: limits for tag, limits in watched}
        self._causes = {
            (tag.tag_id, rules.direction): Cause(rules) for tag, limits in watched for rules in rules_of(limits)
        }
        self._keys: dict[int, list[Key]] = {}
        for key in self._causes:
            self._keys.setdefault(key[0], []).append(key)
        self._trends = {
            tag_id: Trend(round(self._limits[tag_id].rate_window_s * 1e6))
            for tag_id, direction in self._causes
            if direction in ("rising", "falling")
        }
        size = max(self._keys, default=0) + 1
        self._top: NDArray[np.float64] = np.full(size, np.inf)
        self._bottom: NDArray[np.float64] = np.full(size, -np.inf)
        self._seen: NDArray[np.int64] = np.full(size, NO_TIME)
        self._replayed: NDArray[np.int64] = np.full(size, NO_TIME)  # since when (our clock) a tag's values are older
        self._lag_us = 2**62  # from a value to its receipt, at the least
        self._heeded = np.zeros(size, bool)
        self._heeded[list(self._keys)] = True
        self._every = np.zeros(size, bool)  # each value counts: rates of change
        self._every[list(self._trends)] = True
        self._clearing = np.zeros(size, bool)
        self._upward = np.array([1.0 if (tag_id, "low") not in self._causes else -1.0 for tag_id in range(size)])
        self._dues: dict[Key, int] = {}
        self._quiet: dict[Key, tuple[float, float]] = {}
        self._looked_us = NO_TIME
        self._restored = False
        self._draft: dict[Key, Cause] = {}
        self._draft_trends: dict[int, Trend] = {}
        self._draft_seen: tuple[NDArray[np.int32], NDArray[np.int64]] | None = None
        for tag_id in self._keys:
            self._rebound(tag_id)

    def restore(self, connection: psycopg.Connection) -> None:
        """Take up what the warehouse knows; at the first time also the values that timers may be waiting for."""
        self.forget()
        every = [(*key, level.severity) for key, cause in self._causes.items() for level in cause.rules.levels]
        alerts.leave_unwatched(connection, self._server, every)
        known = {(row.tag_id, row.direction): row for row in alerts.known(connection, list(self._causes))}
        for key, cause in self._causes.items():
            if (row := known.get(key)) is not None:
                cause.adopt(row.open, row.raised, row.raised_severity, row.value)
            else:
                cause.adopt(None)
        if not self._restored:
            for value in alerts.recent(connection, [self._stretch_s(tag_id) for tag_id in self._keys]):
                if value.status >> 30 == 0 and np.isfinite(value.value):
                    self._observe(value.tag_id, value.value, value.at, NO_TIME)
                    self._seen[value.tag_id] = value.at.source_us
            self._restored = True
        for key in self._causes:
            self._draft.setdefault(key, self._causes[key])
        self.settle()

    def evaluate(self, connection: psycopg.Connection, prepared: Prepared, moment_us: int, late: bool = False) -> int:
        """Live rows in key order that land at `moment_us`; returns the number of alerts' transitions.

        What was spooled for long is `late`: it raises and clears nothing by itself, but where it leaves a value beyond
        its limit, `tick` says so once everything has landed.
        """
        self.forget()
        changes = self._step_through(prepared, moment_us, late)
        if late:
            return 0
        changes += self._expire(moment_us)
        return self._write(connection, changes, moment_us)

    def due(self, moment_us: int) -> bool:
        """Whether `tick` has anything to do."""
        return (
            moment_us - self._looked_us >= _SHELVING_US or min(self._dues.values(), default=moment_us + 1) <= moment_us
        )

    @property
    def due_us(self) -> int | None:
        """When the next timer ends, by our clock."""
        return min(self._dues.values(), default=None)

    def tick(self, connection: psycopg.Connection, moment_us: int) -> int:
        """What time alone changes: delays that are over, shelving that ends; returns the number of transitions."""
        self.forget()
        return self._write(connection, self._expire(moment_us), moment_us)

    def _write(
        self, connection: psycopg.Connection, changes: Sequence[tuple[Watched, Direction, Change]], moment_us: int
    ) -> int:
        transitions = alerts.write(connection, changes) if changes else 0
        if moment_us - self._looked_us >= _SHELVING_US:
            transitions += alerts.end_shelving(connection, moment_us)
            self._looked_us = moment_us
        return transitions

    def settle(self) -> None:
        """The transaction is committed."""
        for key, cause in self._draft.items():
            self._causes[key] = cause
        self._trends.update(self._draft_trends)
        if self._draft_seen is not None:
            tags, times = self._draft_seen
            self._seen[tags] = np.maximum(self._seen[tags], times)
        for tag_id in {key[0] for key in self._draft} | self._draft_trends.keys():
            self._rebound(tag_id)
        self.forget()

    def forget(self) -> None:
        """The transaction is rolled back."""
        self._draft, self._draft_trends, self._draft_seen = {}, {}, None

    def _step_through(self, prepared: Prepared, moment_us: int, late: bool) -> list[tuple[Watched, Direction, Change]]:
        rows = prepared.readings.rows
        tags, times, values = rows["tag_id"], rows["source_ts"], rows["value"]
        index = np.where((tags > 0) & (tags < len(self._heeded)), tags, 0)
        received_us = prepared.readings.received_us or moment_us
        fresh = self._fresh(index, times, received_us)
        if not fresh.any():
            return []
        newest = np.append(tags[1:] != tags[:-1], True)
        # A clock that is ahead and is set right must not make what follows look old.
        self._draft_seen = (tags[fresh & newest], np.minimum(times[fresh & newest], received_us))
        self._lag_us = min(self._lag_us, received_us - int(times[fresh].max()))
        usable = fresh & (rows["kind"] == NUMBER) & np.isfinite(values)
        certain = usable & (rows["status"] >> 30 == 0)
        usable = certain | (usable & (rows["status"] >> 30 == 1) & (rows["status"] >> 16 != _INITIAL))
        hit = usable & ((values > self._top[index]) | (values < self._bottom[index]) | self._every[index])
        hit |= fresh & ~certain & self._clearing[index]
        if not hit.any():
            return []
        stirred = np.zeros(len(self._heeded), bool)
        stirred[tags[hit]] = True
        timely = newest | (times >= received_us - self._lag_us - LATE_US)
        places = np.flatnonzero(fresh & stirred[index] & timely)
        # Of values with one timestamp nobody knows which is the last: the one that is nearer to an alarm.
        places = places[np.lexsort((values[places] * self._upward[tags[places]], times[places], tags[places]))]
        connected_us = prepared.readings.connected_us
        changes: list[tuple[Watched, Direction, Change]] = []
        for place, is_usable, is_certain in zip(
            places.tolist(), usable[places].tolist(), certain[places].tolist(), strict=True
        ):
            tag_id = int(tags[place])
            if is_usable:
                at = Instant(int(times[place]), received_us, late)
                changes += self._observe(tag_id, float(values[place]), at, connected_us, is_certain)
            else:
                for key in self._keys[tag_id]:
                    self._cause(key).doubt()
        return changes

    def _fresh(self, index: NDArray[np.int32], times: NDArray[np.int64], received_us: int) -> NDArray[np.bool_]:
        """Which rows are of heeded tags, and no older than what was heeded before."""
        heeded = self._heeded[index]
        fresh = heeded & (times >= self._seen[index])
        old = np.unique(index[heeded & ~fresh])
        if len(old):
            self._replayed[old] = np.where(self._replayed[old] == NO_TIME, received_us, self._replayed[old])
            set_back = old[received_us - self._replayed[old] > SET_BACK_US]
            self._seen[set_back] = NO_TIME
            fresh = heeded & (times >= self._seen[index])
        self._replayed[index[fresh]] = NO_TIME
        return fresh

    def _observe(
        self, tag_id: int, value: float, at: Instant, connected_us: int, certain: bool = True
    ) -> list[tuple[Watched, Direction, Change]]:
        trend = None
        if tag_id in self._trends:
            trend = self._trend(tag_id)
            if certain:
                trend.add(value, at, connected_us)
        changes = []
        for key in self._keys[tag_id]:
            if trend is not None and key[1] in ("rising", "falling"):
                if not certain:
                    self._cause(key).doubt()
                    continue
                seen = _rate(trend, key[1])
            else:
                seen = value
            lower, upper = self._quiet[key]
            if key in self._draft or key in self._dues or not lower <= seen <= upper:
                changes += [
                    (self._watched[tag_id], key[1], change) for change in self._cause(key).observe(seen, at, certain)
                ]
        return changes

    def _expire(self, moment_us: int) -> list[tuple[Watched, Direction, Change]]:
        changes: list[tuple[Watched, Direction, Change]] = []
        due = {key for key, due_us in self._dues.items() if due_us <= moment_us} | self._draft.keys()
        left = {
            tag_id: self._trend(tag_id).expire(moment_us) for tag_id in {key[0] for key in due} & self._trends.keys()
        }
        for key in sorted(due):
            tag_id, direction = key
            cause, at = self._cause(key), left.get(tag_id)
            found: list[Change] = []
            if direction in ("rising", "falling") and at is not None:
                found += cause.observe(_rate(self._trend(tag_id), direction), at)
            found += cause.expire(moment_us)
            changes += [(self._watched[tag_id], direction, change) for change in found]
        return changes

    def _cause(self, key: Key) -> Cause:
        if key not in self._draft:
            self._draft[key] = self._causes[key].copy()
        return self._draft[key]

    def _trend(self, tag_id: int) -> Trend:
        if tag_id not in self._draft_trends:
            self._draft_trends[tag_id] = self._trends[tag_id].copy()
        return self._draft_trends[tag_id]

    def _rebound(self, tag_id: int) -> None:
        """Recompute what the fast look at whole batches goes by."""
        top, bottom, clearing = np.inf, -np.inf, False
        for key in self._keys[tag_id]:
            cause = self._causes[key]
            due_us = cause.due_us
            self._quiet[key] = lower, upper = cause.quiet
            if key[1] in ("high", "low"):
                top, bottom = min(top, upper), max(bottom, lower)
            elif cause.beyond and (leaves_us := self._trends[tag_id].due_us) is not None:
                due_us = min(leaves_us, due_us) if due_us is not None else leaves_us
            clearing = clearing or cause.clearing
            if due_us is None:
                self._dues.pop(key, None)
            else:
                self._dues[key] = due_us
        self._top[tag_id], self._bottom[tag_id], self._clearing[tag_id] = top, bottom, clearing

    def _stretch_s(self, tag_id: int) -> tuple[int, float, float]:
        """How much of a tag's past tells which of its timers run, and for how long it does."""
        limits = self._limits[tag_id]
        window_s = limits.rate_window_s if tag_id in self._trends else 0
        stretch_s = float(max(limits.on_delay_s, limits.off_delay_s, window_s))
        return tag_id, stretch_s, RESTORED_S + max(stretch_s, float(limits.deduplication_s))


def _rate(trend: Trend, direction: Direction) -> float:
    return trend.rise_a_minute if direction == "rising" else trend.fall_a_minute
