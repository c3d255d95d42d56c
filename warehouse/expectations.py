"""What is expected of the warehouse: the batches that are looked at, and the checks on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEASUREMENTS = ("temperature", "vibration", "pressure", "throughput", "power", "speed", "current", "voltage")
WINDOWS = (5, 15, 60)
MIN_TRAINING_ROWS = 1000

# What a sensor in working order can say, by unit. Far wider than any limit of plant.yml: this is about readings that
# can't be true (a wrong unit, a broken converter), not about machines that are too hot. Other units aren't checked.
PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "°C": (-100, 2_000),
    "g": (-1_000, 1_000),
    "mm/s": (-1_000, 1_000),
    "bar": (-1, 10_000),
    "t/h": (-1, 1_000_000),
    "kW": (-100_000, 1_000_000),
    "rpm": (-100_000, 100_000),
    "m/s": (-1_000, 1_000),
    "A": (-100_000, 100_000),
    "V": (-2_000_000, 2_000_000),
    "%": (-10, 1_000),
}


@dataclass(frozen=True)
class Check:
    """One expectation: its name in Great Expectations, what it is about, and in words what it wants."""

    expectation: str
    subject: str
    wanted: str
    arguments: Mapping[str, Any]
    blocking: bool = True


@dataclass(frozen=True)
class Batch:
    """A query (`:moment` is put in), the columns that name one of its rows, and the checks.

    A condensed one has few rows, from many: it is run once, and the checks are on its outcome.
    """

    query: str
    key: list[str]
    checks: tuple[Check, ...]
    condensed: bool = True


@dataclass(frozen=True)
class Checkpoint:
    """The relation it stands on, a query that returns a row unless there is nothing to check, and its batches."""

    relation: str
    any_row: str
    batches: Mapping[str, Batch]


def _between(column: str, subject: str, wanted: str, low: Any, high: Any, blocking: bool = True) -> Check:
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Check("ExpectColumnValuesToBeBetween", subject, wanted, arguments, blocking)


_RANGES = ", ".join(f"('{unit}', {low}::float8, {high}::float8)" for unit, (low, high) in PLAUSIBLE.items())

# One row per measurement and unit over the 24 hours up to the moment, and what claims to come from after its landing.
LANDINGS = f"""
SELECT
    t.measurement,
    t.unit,
    count(*) AS readings,
    count(*) FILTER (WHERE e.origin = 'live' AND e.source_ts > e.landed_at + interval '1 minute') AS from_the_future,
    coalesce(
        count(*) FILTER (WHERE e.status >> 30 = 0 AND (e.value IS NOT NULL OR e.value_text IS NOT NULL))::float8
        / nullif(count(*) FILTER (WHERE e.status >> 30 = 0), 0), 1) AS complete_share,
    count(*) FILTER (WHERE e.status >> 30 = 0)::float8 / count(*) AS good_share,
    coalesce(
        count(*) FILTER (
            WHERE e.status >> 30 = 0 AND t.role = 'measurement' AND e.value NOT BETWEEN p.low AND p.high
        )::float8 / nullif(count(*) FILTER (WHERE e.status >> 30 = 0 AND e.value IS NOT NULL), 0), 0)
        AS implausible_share,
    -- States and set points are sent when they change.
    CASE WHEN bool_or(t.role = 'measurement')
        THEN extract(EPOCH FROM :moment - max(e.source_ts) FILTER (WHERE e.source_ts <= :moment))::float8 / 60
    END AS age_minutes
FROM raw.sensor_events AS e
INNER JOIN raw.tags AS t ON e.tag_id = t.tag_id
LEFT JOIN (VALUES {_RANGES}) AS p (unit, low, high) ON t.unit = p.unit
WHERE e.source_ts > :moment - interval '24 hours'
    AND (e.source_ts <= :moment OR e.origin = 'live' AND e.source_ts > e.landed_at + interval '1 minute')
GROUP BY t.measurement, t.unit
"""

# The seven days up to the newest window that the moment may see; the training window itself is ninety, too much to
# look at each time.
_SLICE = """
FROM marts.gold_ml_features
WHERE window_end <= :moment
  AND window_end > (SELECT max(window_end) FROM marts.gold_ml_features WHERE window_end <= :moment) - interval '7 days'
"""
_DEVIATIONS = tuple(f"{measurement}_deviation_{window}m" for measurement in MEASUREMENTS for window in WINDOWS)
FEATURES = f"SELECT equipment_id, window_end, {', '.join(_DEVIATIONS)} {_SLICE}"
COUNT = f"SELECT 1 AS present FROM marts.gold_ml_features WHERE window_end <= :moment LIMIT {MIN_TRAINING_ROWS}"
# One row per measurement: of the running minutes that have it, how many lack its deviation (a regime without baseline)?
GAPS = f"""
SELECT
    m.measurement,
    coalesce(count(*) FILTER (WHERE m.deviation IS NULL)::float8 / nullif(count(*), 0), 0) AS null_share
FROM (SELECT * {_SLICE} AND is_running) AS recent
CROSS JOIN LATERAL (VALUES {", ".join(f"('{m}', {m}_mean_60m, {m}_deviation_60m)" for m in MEASUREMENTS)})
    AS m (measurement, mean, deviation)
WHERE m.mean IS NOT NULL
GROUP BY m.measurement
"""

CHECKPOINTS: Mapping[str, Checkpoint] = {
    "raw_landings": Checkpoint(
        relation="raw.sensor_events",
        any_row="SELECT 1 FROM raw.sensor_events WHERE source_ts <= %(moment)s LIMIT 1",
        batches={
            "landings": Batch(
                LANDINGS,
                ["measurement", "unit"],
                (
                    Check(
                        "ExpectTableRowCountToBeBetween", "volume",
                        "readings of the last 24 hours, of at least one measurement", {"min_value": 1},
                        blocking=False,
                    ),
                    _between("from_the_future", "timestamps", "no live reading is more than a minute ahead", 0, 0),
                    _between("complete_share", "completeness", "99 % of good readings have a value", 0.99, 1),
                    _between("implausible_share", "ranges", "99 % of values are possible in their unit", 0, 0.01),
                    _between("good_share", "quality", "90 % of readings have a good status", 0.9, 1, blocking=False),
                    _between("age_minutes", "freshness", "a reading in the last 15 minutes", None, 15, blocking=False),
                ),
            )
        },
    ),
    "training_set": Checkpoint(
        relation="marts.gold_ml_features",
        any_row="SELECT 1 FROM marts.gold_ml_features WHERE window_end <= %(moment)s LIMIT 1",
        batches={
            "row_count": Batch(
                COUNT,
                ["present"],
                (
                    Check(
                        "ExpectTableRowCountToBeBetween", "rows", f"at least {MIN_TRAINING_ROWS:,} rows",
                        {"min_value": MIN_TRAINING_ROWS},
                    ),
                ),
            ),
            "features": Batch(
                FEATURES,
                ["equipment_id", "window_end"],
                (
                    Check("ExpectColumnValuesToNotBeNull", "equipment_id", "never null", {"column": "equipment_id"}),
                    Check("ExpectColumnValuesToNotBeNull", "window_end", "never null", {"column": "window_end"}),
                    Check(
                        "ExpectCompoundColumnsToBeUnique", "key", "equipment_id and window_end name one row",
                        {"column_list": ["equipment_id", "window_end"]},
                    ),
                    # NaN sorts above every number in Postgres, so a range finds it too.
                    *(_between(column, column, "finite, within ± a million", -1e6, 1e6) for column in _DEVIATIONS),
                ),
                condensed=False,
            ),
            "deviation_gaps": Batch(
                GAPS,
                ["measurement"],
                (
                    _between(
                        "null_share", "deviations", "there for 80 % of the running minutes that have the measurement",
                        0, 0.2, blocking=False,
                    ),
                ),
            ),
        },
    ),
}  # fmt: skip
