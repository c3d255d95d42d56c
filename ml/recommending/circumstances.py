"""What is known of a machine besides its score: how far out it is and since when, its upkeep, parts and worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ml.labels import ACTION_OF_MODE
from ml.recommending.causes import NOTABLE
from ml.scorecard import NO_PRECEDENT

# The longest that "for so many minutes" looks back.
LOOK_BACK_MINUTES = 24 * 60
_COMPONENTS = 2
_CRITICALITY = {"A": 2, "B": 1, "C": 0}

# Per machine, measurement and window the position that is farthest from its baseline; it has been out since the last
# minute in which it was within one spread.
_SEEN = """
WITH tagged AS MATERIALIZED (
    SELECT w.equipment_id, w.window_end, t.tag_id, t.measurement, t.position, t.unit, m.minutes
    FROM unnest(%(machines)s::text[], %(ends)s::timestamptz[]) AS w (equipment_id, window_end)
    JOIN raw.tags AS t ON t.equipment_id = w.equipment_id AND t.role = 'measurement' AND t.valid_to IS NULL
    CROSS JOIN unnest(%(windows)s::integer[]) AS m (minutes)
), farthest AS MATERIALIZED (
    SELECT DISTINCT ON (g.equipment_id, g.window_end, g.measurement, g.minutes) g.*, a.*
    FROM tagged AS g
    CROSS JOIN LATERAL (
        SELECT avg(s.value_mean) AS value, avg(s.baseline_mean) AS normal, avg(s.baseline_std) AS spread,
            avg(s.z_score) AS deviation
        FROM marts.silver_enriched_sensors AS s
        WHERE s.tag_id = g.tag_id AND s.z_score IS NOT NULL AND s.window_end <= g.window_end
            AND s.window_end > g.window_end - g.minutes * interval '1 minute'
    ) AS a
    WHERE a.deviation IS NOT NULL
    ORDER BY g.equipment_id, g.window_end, g.measurement, g.minutes, abs(a.deviation) DESC
)
SELECT f.equipment_id, f.window_end, f.measurement, f.minutes, f.value, f.normal, f.spread, f.unit, f.position,
    extract(epoch FROM f.window_end - coalesce(b.within_at, b.first_at - interval '1 minute')) / 60, b.within_at IS NULL
FROM farthest AS f
LEFT JOIN LATERAL (
    SELECT max(s.window_end) FILTER (WHERE s.z_score * sign(f.deviation) < 1) AS within_at,
        min(s.window_end) AS first_at
    FROM marts.silver_enriched_sensors AS s
    WHERE s.tag_id = f.tag_id AND s.z_score IS NOT NULL AND s.window_end <= f.window_end
        AND s.window_end > f.window_end - %(look_back)s * interval '1 minute'
) AS b ON abs(f.deviation) >= %(notable)s AND f.minutes = %(shortest)s
"""
# Which parts an action is about is learnt from what failed before that it would have been the answer to: on this
# machine, else on machines of its type.
_UPKEEP = """
WITH wanted AS (
    SELECT w.equipment_id, w.ordinal, q.plant_id, q.equipment_type, string_to_array(w.modes, ',') AS modes
    FROM unnest(%(machines)s::text[], %(modes)s::text[]) WITH ORDINALITY AS w (equipment_id, modes, ordinal)
    JOIN raw.equipment AS q USING (equipment_id)
), parts AS (
    SELECT w.ordinal, w.equipment_id, w.plant_id, c.component, c.failures
    FROM wanted AS w
    CROSS JOIN LATERAL (
        SELECT f.component, count(*) AS failures, bool_or(f.equipment_id = w.equipment_id) AS own,
            bool_or(bool_or(f.equipment_id = w.equipment_id)) OVER () AS any_own
        FROM raw.cmms_failures AS f
        JOIN raw.equipment AS q ON q.equipment_id = f.equipment_id AND q.equipment_type = w.equipment_type
        WHERE f.failure_mode = ANY(w.modes) AND f.available_at <= %(moment)s
        GROUP BY f.component
    ) AS c
    WHERE c.own OR NOT c.any_own
)
SELECT p.ordinal, p.component, done.kind, done.days, store.stock, store.lead_days
FROM parts AS p
LEFT JOIN LATERAL (
    SELECT m.kind, extract(epoch FROM %(moment)s - m.at) / 86400 AS days
    FROM (
        SELECT c.performed_at AS at, CASE WHEN c.kind = 'corrective' THEN 'replaced' ELSE 'serviced' END AS kind
        FROM raw.cmms_maintenance AS c
        WHERE c.equipment_id = p.equipment_id AND c.component = p.component AND c.available_at <= %(moment)s
        UNION ALL
        SELECT o.completed_at, CASE WHEN o.action_taken ILIKE '%%replac%%' THEN 'replaced' ELSE 'serviced' END
        FROM raw.cmms_work_orders AS o
        WHERE o.equipment_id = p.equipment_id AND o.component = p.component AND o.available_at <= %(moment)s
    ) AS m
    WHERE m.at <= %(moment)s ORDER BY m.at DESC, m.kind LIMIT 1
) AS done ON true
LEFT JOIN LATERAL (
    SELECT sum(s.stock) AS stock, min(s.lead_time_days) AS lead_days
    FROM raw.sap_equipment AS a
    JOIN raw.sap_spare_parts AS s ON s.plant_id = a.plant_id AND s.model = a.model AND s.component = p.component
    WHERE a.equipment_id = p.equipment_id AND s.available_at <= %(moment)s
) AS store ON true
ORDER BY p.ordinal, p.failures DESC, p.component
"""


@dataclass(frozen=True)
class Seen:
    """One measurement over one window, in engineering units; of several positions the one that is farthest out."""

    value: float
    normal: float  # mean of the baseline at the machine's load
    spread: float  # its standard deviation
    unit: str
    position: str
    minutes_out: int | None = None  # since it was last within one spread; None where it isn't out
    at_least: bool = False  # nothing is known of before

    @property
    def distance(self) -> float:
        """From normal, in `unit`; above is positive."""
        return self.value - self.normal


@dataclass(frozen=True)
class Part:
    """A component that the action is about: when it was last worked on, and what the store has of it."""

    component: str
    done: str | None = None  # replaced or serviced
    days: float | None = None  # ago
    stock: int | None = None
    lead_days: int | None = None


@dataclass(frozen=True)
class Asset:
    """Where a machine stands and what its standing still costs."""

    plant: str
    criticality: int = 1  # A is 2, C is 0; B where SAP doesn't know the machine
    cost_per_h: float | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Circumstances:
    """Of one candidate, for its text; empty where the plant's systems don't say."""

    seen: dict[str, Seen]
    parts: tuple[Part, ...] = ()


Key = tuple[str, datetime]


def seen(
    connection: psycopg.Connection, keys: Sequence[Key], windows: Sequence[int] = (5,)
) -> dict[tuple[str, datetime, str, int], Seen]:
    """By machine, end of window, measurement and window's minutes; empty before the first transform."""
    if not keys or not _exists(connection, "marts.silver_enriched_sensors"):
        return {}
    rows = connection.execute(
        _SEEN,
        {
            "machines": [key[0] for key in keys],
            "ends": [key[1] for key in keys],
            "windows": list(windows),
            "shortest": min(windows),
            "look_back": LOOK_BACK_MINUTES,
            "notable": NOTABLE,
        },
    )
    return {
        (machine, end, measurement, minutes): Seen(
            value, normal, spread, unit, position, None if out is None else round(out), out is not None and at_least
        )
        for machine, end, measurement, minutes, value, normal, spread, unit, position, out, at_least in rows
    }


def gather(
    connection: psycopg.Connection, candidates: Sequence[dict[str, Any]], moment: datetime
) -> list[Circumstances]:
    """The circumstances of `candidates` (equipment_id, window_end, action_code), in their order, as of `moment`."""
    keys = [(c["equipment_id"], c["window_end"]) for c in candidates]
    found = seen(connection, keys)
    parts = _parts(connection, candidates, moment) if candidates else {}
    by_key: dict[Key, dict[str, Seen]] = {}
    for (machine, end, measurement, _), item in found.items():
        by_key.setdefault((machine, end), {})[measurement] = item
    return [
        Circumstances(by_key.get(key, {}), tuple(parts.get(number, ())[:_COMPONENTS]))
        for number, key in enumerate(keys, start=1)
    ]


def _parts(
    connection: psycopg.Connection, candidates: Sequence[dict[str, Any]], moment: datetime
) -> dict[int, list[Part]]:
    modes = {
        action: ",".join(mode for mode, answer in ACTION_OF_MODE.items() if answer == action and action != NO_PRECEDENT)
        for action in {c["action_code"] for c in candidates}
    }
    rows = connection.execute(
        _UPKEEP,
        {
            "machines": [c["equipment_id"] for c in candidates],
            "modes": [modes[c["action_code"]] for c in candidates],
            "moment": moment,
        },
    )
    parts: dict[int, list[Part]] = {}
    for number, component, done, days, stock, lead_days in rows:
        days = None if days is None else float(days)
        parts.setdefault(number, []).append(Part(component, done, days, stock, lead_days))
    return parts


def assets(connection: psycopg.Connection) -> dict[str, Asset]:
    """Every machine's plant, and its criticality and cost of downtime where SAP has them."""
    rows = connection.execute(
        "SELECT e.equipment_id, e.plant_id, a.criticality, a.downtime_cost_per_h::float8, a.currency"
        " FROM raw.equipment AS e LEFT JOIN raw.sap_equipment AS a USING (equipment_id)"
    )
    return {
        machine: Asset(plant, _CRITICALITY.get(criticality, 1), cost, currency)
        for machine, plant, criticality, cost, currency in rows
    }


def units(connection: psycopg.Connection) -> dict[str, dict[str, str]]:
    """Units by machine and measurement, as the plant file has them."""
    rows = connection.execute(
        "SELECT equipment_id, measurement, max(unit) FROM raw.tags"
        " WHERE role = 'measurement' AND valid_to IS NULL GROUP BY 1, 2"
    )
    found: dict[str, dict[str, str]] = {}
    for machine, measurement, unit in rows:
        found.setdefault(machine, {})[measurement] = unit
    return found


def _exists(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    return row is not None and bool(row[0])
