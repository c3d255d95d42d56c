"""Limits of the plant file into `serving.critical_alerts`, in the transaction that lands the value.

An alert is of one tag, direction and severity. A value beyond limits raises the severest it has crossed, unless that is
open already or was raised within the last five minutes. An alert is cleared when the value is back inside its limit by
the hysteresis; a cleared one never becomes active again. NOTIFY is the table's own trigger's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from ingest.landing import Prepared
from ingest.plant import Limits, Severity
from ingest.readings import NUMBER, to_datetime

DEDUPLICATION_US: Final = 5 * 60 * 1_000_000
HYSTERESIS: Final = 0.02
_SEVERITIES: Final[tuple[Severity, ...]] = ("warning", "critical", "emergency")
Key = tuple[int, str, str]
"""tag id, severity, direction"""


@dataclass(frozen=True)
class Watched:
    """A tag with limits."""

    tag_id: int
    equipment_id: str
    measurement: str
    position: str
    unit: str
    limits: Limits


@dataclass(frozen=True)
class _Limit:
    severity: Severity
    direction: str
    value: float

    def crossed(self, value: float) -> bool:
        return value > self.value if self.direction == "high" else value < self.value

    def left(self, value: float) -> bool:
        margin = HYSTERESIS * abs(self.value)
        return value < self.value - margin if self.direction == "high" else value > self.value + margin


@dataclass
class _State:
    open: set[Key] = field(default_factory=set)
    raised_us: dict[Key, int] = field(default_factory=dict)


class Alarms:
    """What is open, and what a batch changes in it. `evaluate`, then `settle` after the commit or `forget` without."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self._watched = {w.tag_id: w for w in watched}
        self._limits = {w.tag_id: _limits_of(w.limits) for w in watched}
        size = max(self._watched, default=0) + 1
        self._high: NDArray[np.float64] = np.full(size, np.inf)
        self._low: NDArray[np.float64] = np.full(size, -np.inf)
        for tag_id, limits in self._limits.items():
            self._high[tag_id] = min((li.value for li in limits if li.direction == "high"), default=np.inf)
            self._low[tag_id] = max((li.value for li in limits if li.direction == "low"), default=-np.inf)
        self._state = _State()
        self._next: _State | None = None

    def restore(self, connection: psycopg.Connection) -> None:
        """Take up the alerts that are open or recent in the warehouse."""
        rows = connection.execute(
            "SELECT tag_id, severity, direction, state <> 'cleared',"
            " (extract(EPOCH FROM max(timestamp) - '2000-01-01 UTC'::timestamptz) * 1000000)::bigint"
            " FROM serving.critical_alerts WHERE tag_id = ANY(%s)"
            " AND (state <> 'cleared' OR timestamp > clock_timestamp() - interval '1 hour') GROUP BY 1, 2, 3, 4",
            (list(self._watched),),
        ).fetchall()
        self._state = _State()
        for tag_id, severity, direction, is_open, raised_us in rows:
            key = (tag_id, severity, direction)
            if is_open:
                self._state.open.add(key)
            self._state.raised_us[key] = max(raised_us, self._state.raised_us.get(key, raised_us))

    def evaluate(self, connection: psycopg.Connection, prepared: Prepared) -> int:
        """Raise and clear for live rows in key order; returns the number of transitions."""
        self._next = None
        rows = prepared.readings.rows
        tags = rows["tag_id"]
        known = tags < len(self._high)
        good = known & (rows["status"] >> 30 == 0) & (rows["kind"] == NUMBER) & np.isfinite(rows["value"])
        index = np.where(known, tags, 0)
        beyond = good & ((rows["value"] > self._high[index]) | (rows["value"] < self._low[index]))
        open_tags = {key[0] for key in self._state.open}
        if open_tags:
            beyond |= good & np.isin(tags, list(open_tags))
        if not beyond.any():
            return 0
        self._next = _State(set(self._state.open), dict(self._state.raised_us))
        transitions = 0
        # In the order of time, so that what is raised and cleared within a batch ends as it would have singly.
        places = np.flatnonzero(beyond)
        for place in places[np.argsort(rows["source_ts"][places], kind="stable")].tolist():
            row = rows[place]
            transitions += self._step(connection, int(tags[place]), float(row["value"]), int(row["source_ts"]))
        return transitions

    def settle(self) -> None:
        """The transaction is committed."""
        if self._next is not None:
            self._state, self._next = self._next, None

    def forget(self) -> None:
        """The transaction is rolled back."""
        self._next = None

    def _step(self, connection: psycopg.Connection, tag_id: int, value: float, source_us: int) -> int:
        state, transitions = self._next, 0
        assert state is not None
        limits = self._limits.get(tag_id, [])
        for limit in limits:
            key = (tag_id, limit.severity, limit.direction)
            if key in state.open and limit.left(value):
                state.open.discard(key)
                self._clear(connection, key, source_us)
                transitions += 1
        crossed = [limit for limit in limits if limit.crossed(value)]
        if not crossed:
            return transitions
        worst = crossed[-1]
        key = (tag_id, worst.severity, worst.direction)
        at_least = _SEVERITIES[_SEVERITIES.index(worst.severity) :]
        if any((tag_id, severity, worst.direction) in state.open for severity in at_least):
            return transitions
        if source_us - state.raised_us.get(key, source_us - DEDUPLICATION_US) < DEDUPLICATION_US:
            return transitions
        state.open.add(key)
        state.raised_us[key] = source_us
        self._raise(connection, self._watched[tag_id], worst, value, source_us)
        return transitions + 1

    def _raise(self, connection: psycopg.Connection, tag: Watched, limit: _Limit, value: float, source_us: int) -> None:
        action = "emergency_shutdown" if limit.severity == "emergency" else "preventive_inspection"
        connection.execute(
            "INSERT INTO serving.critical_alerts (equipment_id, tag_id, measurement, position, timestamp, severity,"
            " direction, value, limit_value, unit, action_code, recommendation_text)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (tag_id, severity, direction) WHERE state <> 'cleared' DO NOTHING",
            (
                tag.equipment_id,
                tag.tag_id,
                tag.measurement,
                tag.position,
                to_datetime(source_us),
                limit.severity,
                limit.direction,
                value,
                limit.value,
                tag.unit,
                action,
                alert_text(tag, limit.severity, limit.direction, limit.value, value),
            ),
        )

    def _clear(self, connection: psycopg.Connection, key: Key, source_us: int) -> None:
        connection.execute(
            "UPDATE serving.critical_alerts SET state = 'cleared', cleared_at = greatest(%s, timestamp),"
            " transitions = transitions + 1"
            " WHERE tag_id = %s AND severity = %s AND direction = %s AND state <> 'cleared'",
            (to_datetime(source_us), *key),
        )


def alert_text(tag: Watched, severity: str, direction: str, limit: float, value: float) -> str:
    """Such as `temperature 91.2 °C above its emergency limit 90 °C`."""
    name = f"{tag.measurement} ({tag.position})" if tag.position else tag.measurement
    unit = f" {tag.unit}" if tag.unit else ""
    side = "above" if direction == "high" else "below"
    shown = f"{value:.1f}"
    # A value a hair beyond its limit must not read as the limit itself.
    if float(shown) == limit:
        shown = f"{value:.6g}"
    return f"{name} {shown}{unit} {side} its {severity} limit {limit:g}{unit}"


def _limits_of(limits: Limits) -> list[_Limit]:
    """All limits of a tag, each direction from mild to severe."""
    found = []
    for direction in ("high", "low"):
        bounds = getattr(limits, direction)
        for severity in _SEVERITIES:
            value = getattr(bounds, severity)
            if value is not None:
                found.append(_Limit(severity, direction, value))
    return found
