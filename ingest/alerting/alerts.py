"""`serving.critical_alerts`: alarms' changes as rows, and what the rows say to a worker that starts.

NOTIFY is the work of the table's own triggers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from ingest.alerting.alarm import Change, Cleared, Folded, Instant, Raised
from ingest.limits import Direction, Severity
from ingest.readings import to_datetime, to_us

_CLEAR: Final = """
UPDATE serving.critical_alerts
SET state = 'cleared', cleared_at = greatest(%(at)s, "timestamp"), cleared_because = %(because)s,
    transitions = transitions + 1
WHERE tag_id = %(tag_id)s AND direction = %(direction)s AND state <> 'cleared'
"""
# What takes the place of a severer alert goes on with the operator's answer to that; what is severer asks anew.
_RAISE: Final = """
INSERT INTO serving.critical_alerts (equipment_id, tag_id, measurement, position, "timestamp", severity, direction,
    value, limit_value, unit, action_code, recommendation_text, replaces, state, acknowledged_by, acknowledged_at,
    shelved_by, shelved_until)
SELECT %(equipment_id)s, %(tag_id)s, %(measurement)s, %(position)s, %(at)s, %(severity)s, %(direction)s,
    %(value)s, %(limit)s, %(unit)s, %(action_code)s, %(text)s, before.alert_id,
    CASE WHEN NOT before.answered THEN 'active' WHEN before.shelved_until IS NOT NULL THEN 'shelved'
        WHEN before.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE 'active' END,
    CASE WHEN before.answered THEN before.acknowledged_by END,
    CASE WHEN before.answered THEN before.acknowledged_at END,
    CASE WHEN before.answered THEN before.shelved_by END, CASE WHEN before.answered THEN before.shelved_until END
FROM (SELECT) AS one LEFT JOIN LATERAL (
    SELECT a.*, a.cleared_because = 'eased' AS answered FROM serving.critical_alerts AS a
    WHERE a.tag_id = %(tag_id)s AND a.direction = %(direction)s AND %(because)s::text IS NOT NULL
    ORDER BY a.alert_id DESC LIMIT 1
) AS before ON true
ON CONFLICT (tag_id, direction) WHERE state <> 'cleared' DO NOTHING
"""
_FOLD: Final = """
UPDATE serving.critical_alerts SET transitions = transitions + %(count)s WHERE alert_id = (
    SELECT max(a.alert_id) FROM serving.critical_alerts AS a
    WHERE a.tag_id = %(tag_id)s AND a.direction = %(direction)s)
"""
_UNSHELVE: Final = """
UPDATE serving.critical_alerts
SET state = CASE WHEN acknowledged_at IS NULL THEN 'active' ELSE 'acknowledged' END, shelved_until = NULL
WHERE state = 'shelved' AND shelved_until <= %s
"""
# An alert of a tag or a limit that is no longer in the plant file would stand for ever.
_LEAVE: Final = """
UPDATE serving.critical_alerts AS a
SET state = 'cleared', cleared_at = clock_timestamp(), cleared_because = 'unwatched', transitions = transitions + 1
WHERE a.state <> 'cleared' AND a.tag_id IN (SELECT t.tag_id FROM raw.tags AS t WHERE t.server = %s)
    AND NOT EXISTS (
        SELECT FROM unnest(%s::integer[], %s::text[], %s::text[]) AS w (tag_id, direction, severity)
        WHERE w.tag_id = a.tag_id AND w.direction = a.direction AND w.severity = a.severity)
"""
_KNOWN: Final = """
SELECT w.tag_id, w.direction, open.severity, open.value, last.severity, last.timestamp, last.raised_at
FROM unnest(%s::integer[], %s::text[]) AS w (tag_id, direction)
LEFT JOIN serving.critical_alerts AS open
    ON open.tag_id = w.tag_id AND open.direction = w.direction AND open.state <> 'cleared'
CROSS JOIN LATERAL (
    SELECT a.severity, a.timestamp, a.raised_at FROM serving.critical_alerts AS a
    LEFT JOIN serving.critical_alerts AS before ON before.alert_id = a.replaces
    WHERE a.tag_id = w.tag_id AND a.direction = w.direction AND before.cleared_because IS DISTINCT FROM 'eased'
    ORDER BY a.alert_id DESC LIMIT 1
) AS last
"""
# Live values before each tag's newest, if that is fresh enough to act upon. OFFSET keeps the planner from joining the
# whole of history where it has no statistics yet.
_RECENT: Final = """
SELECT l.tag_id, e.source_ts, e.landed_at, e.value, e.status
FROM raw.tag_latest AS l
INNER JOIN unnest(%s::integer[], %s::double precision[], %s::double precision[]) AS w (tag_id, stretch_s, fresh_s)
    ON l.tag_id = w.tag_id
CROSS JOIN LATERAL (
    SELECT s.source_ts, s.landed_at, s.value, s.status FROM raw.sensor_events AS s
    WHERE s.tag_id = l.tag_id
        AND s.source_ts BETWEEN l.source_ts - make_interval(secs => w.stretch_s) AND l.source_ts
        AND s.origin = 'live' AND s.value IS NOT NULL
    OFFSET 0
) AS e
WHERE l.landed_at > clock_timestamp() - make_interval(secs => w.fresh_s)
ORDER BY l.tag_id, e.source_ts, e.landed_at
"""


@dataclass(frozen=True)
class Watched:
    """A tag with limits, as its alerts name it."""

    tag_id: int
    equipment_id: str
    measurement: str
    position: str
    unit: str


@dataclass(frozen=True)
class Known:
    """What the warehouse knows of a cause: its open alert's severity and value, and the last alert that was raised."""

    tag_id: int
    direction: Direction
    open: Severity | None
    value: float
    raised: Instant
    raised_severity: Severity


@dataclass(frozen=True)
class Recent:
    """A live value that has landed."""

    tag_id: int
    at: Instant
    value: float
    status: int


def write(connection: psycopg.Connection, changes: Sequence[tuple[Watched, Direction, Change]]) -> int:
    """Put changes into the table, in their order; returns how many of them are transitions of an alert."""
    transitions = 0
    folded: dict[tuple[int, Direction], int] = {}
    with connection.pipeline():
        for tag, direction, change in changes:
            key = {"tag_id": tag.tag_id, "direction": direction}
            if isinstance(change, Folded):
                folded[tag.tag_id, direction] = folded.get((tag.tag_id, direction), 0) + 1
                continue
            # Counted on the alert that they belong to, before another follows it.
            if count := folded.pop((tag.tag_id, direction), 0):
                connection.execute(_FOLD, {**key, "count": count})
            transitions += 1
            if isinstance(change, Cleared):
                connection.execute(_CLEAR, {**key, "at": to_datetime(change.source_us), "because": "returned"})
            else:
                _raise(connection, tag, direction, change)
        for (tag_id, direction), count in folded.items():
            connection.execute(_FOLD, {"tag_id": tag_id, "direction": direction, "count": count})
    return transitions


def _raise(connection: psycopg.Connection, tag: Watched, direction: Direction, change: Raised) -> None:
    row = {
        "equipment_id": tag.equipment_id,
        "tag_id": tag.tag_id,
        "measurement": tag.measurement,
        "position": tag.position,
        "at": to_datetime(change.source_us),
        "severity": change.severity,
        "direction": direction,
        "value": change.value,
        "limit": change.limit,
        "unit": _unit(tag, direction),
        "action_code": "emergency_shutdown" if change.severity == "emergency" else "preventive_inspection",
        "text": alert_text(tag, direction, change),
        "because": change.replaces,
    }
    if change.replaces:
        connection.execute(_CLEAR, row)
    connection.execute(_RAISE, row)


def end_shelving(connection: psycopg.Connection, moment_us: int) -> int:
    """Bring back what was shelved until `moment_us` or earlier; returns how many alerts that were."""
    return connection.execute(_UNSHELVE, (to_datetime(moment_us),)).rowcount


def leave_unwatched(
    connection: psycopg.Connection, server: str, watched: Sequence[tuple[int, Direction, Severity]]
) -> None:
    """Clear the open alerts of a server's tags that are about no limit of `watched`."""
    tags, directions, severities = zip(*watched, strict=True) if watched else ((), (), ())
    connection.execute(_LEAVE, (server, list(tags), list(directions), list(severities)))


def known(connection: psycopg.Connection, causes: Sequence[tuple[int, Direction]]) -> list[Known]:
    """What the warehouse knows of `causes` that ever had an alert."""
    tags, directions = zip(*causes, strict=True) if causes else ((), ())
    rows = connection.execute(_KNOWN, (list(tags), list(directions))).fetchall()
    return [
        Known(tag_id, direction, severity, value or 0.0, Instant(to_us(timestamp), to_us(raised_at)), raised_severity)
        for tag_id, direction, severity, value, raised_severity, timestamp, raised_at in rows
    ]


def recent(connection: psycopg.Connection, stretches: Sequence[tuple[int, float, float]]) -> list[Recent]:
    """Live values before the newest of each tag, oldest first; none of a tag whose newest isn't fresh.

    `stretches` says by tag id how many seconds before the newest, and how many seconds it may be old.
    """
    tags, stretches_s, fresh_s = zip(*stretches, strict=True) if stretches else ((), (), ())
    rows = connection.execute(_RECENT, (list(tags), list(stretches_s), list(fresh_s))).fetchall()
    return [Recent(row[0], Instant(to_us(row[1]), to_us(row[2]), late=True), row[3], row[4]) for row in rows]


def alert_text(tag: Watched, direction: Direction, change: Raised) -> str:
    """Such as `temperature 91.2 °C above its emergency limit 90 °C`."""
    name = f"{tag.measurement} ({tag.position})" if tag.position else tag.measurement
    unit = f" {unit}" if (unit := _unit(tag, direction)) else ""
    side = "below" if direction == "low" else "above"
    verb = {"rising": " rises by", "falling": " falls by"}.get(direction, "")
    shown = f"{change.value:.1f}"
    # A value a hair beyond its limit must not read as the limit itself.
    if float(shown) == change.limit:
        shown = f"{change.value:.6g}"
    return f"{name}{verb} {shown}{unit} {side} its {change.severity} limit {change.limit:g}{unit}"


def _unit(tag: Watched, direction: Direction) -> str:
    return f"{tag.unit}/min" if direction in ("rising", "falling") else tag.unit
