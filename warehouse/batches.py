"""What the checkpoints look at: queries that condense readings, features and the training set to some rows.

In a query `:moment` stands for the moment that the check works for, `:span` for how far back it looks at readings. Of a
training as of the moment, by `warehouse.drawing`: `:evenly` for the rows `g` that its thinning takes, `:step` for the
minutes that each stands for, `:grace` for how late a row may have become available, `:lead` for how long before a
failure its signs are learnt.
"""

from __future__ import annotations

from collections.abc import Mapping

from warehouse.drawing import sql_usable
from warehouse.grid import sql_on_grid

MEASUREMENTS = ("temperature", "vibration", "pressure", "throughput", "power", "speed", "current", "voltage")
WINDOWS = (5, 15, 30, 60)

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


def _gap_seconds(span: str) -> str:
    """A query for the seconds of tag t that gaps cover of the `span` up to the moment, as SQL and one row."""
    return f"""
    SELECT coalesce(sum(extract(EPOCH FROM upper(part) - lower(part))), 0)::float8 AS seconds
    FROM unnest((
        SELECT range_agg(tstzrange(greatest(from_ts, :moment - {span}), least(to_ts, :moment)))
        FROM raw.sensor_gaps
        WHERE tag_id = t.tag_id AND NOT repaired AND from_ts < :moment
            AND coalesce(to_ts, :moment) > greatest(from_ts, :moment - {span})
    )) AS part
"""


_RANGES = ", ".join(f"('{unit}', {low}::float8, {high}::float8)" for unit, (low, high) in PLAUSIBLE.items())

# One row per measurement and unit of the tags in service: the readings up to the moment, what claims to come from
# after its landing, how many there were a week ago, and how much of the time no gap covers. What an export holds says
# nothing of how much a server sends, so files aren't compared. An index probe a tag: the cost is that of the span.
LANDINGS = f"""
SELECT
    t.measurement,
    t.unit,
    sum(e.readings)::bigint AS readings,
    sum(e.readings_not_of_files)::float8 / nullif(sum(e.readings_a_week_ago), 0)::float8 AS volume_ratio,
    sum(e.from_the_future)::bigint AS from_the_future,
    coalesce(sum(e.complete)::float8 / nullif(sum(e.good), 0)::float8, 1) AS complete_share,
    coalesce(sum(e.good)::float8 / nullif(sum(e.readings), 0)::float8, 1) AS good_share,
    coalesce(sum(e.implausible) FILTER (WHERE t.role = 'measurement')::float8 / nullif(sum(e.numbers), 0)::float8, 0)
        AS implausible_share,
    1 - avg(gaps.seconds) / extract(EPOCH FROM :span)::float8 AS covered_share,
    -- States and set points are sent when they change.
    CASE WHEN bool_or(t.role = 'measurement')
        THEN extract(EPOCH FROM :moment - max(coalesce(e.newest, l.source_ts)))::float8 / 60
    END AS age_minutes
FROM raw.tags AS t
LEFT JOIN raw.tag_latest AS l ON t.tag_id = l.tag_id AND l.source_ts <= :moment
LEFT JOIN (VALUES {_RANGES}) AS p (unit, low, high) ON t.unit = p.unit
CROSS JOIN LATERAL (
    SELECT
        count(*) AS readings,
        count(*) FILTER (WHERE origin <> 'backfill') AS readings_not_of_files,
        count(*) FILTER (WHERE source_ts > landed_at + interval '1 minute' AND origin = 'live') AS from_the_future,
        count(*) FILTER (WHERE status >> 30 = 0) AS good,
        count(*) FILTER (WHERE status >> 30 = 0 AND value IS NOT NULL) AS numbers,
        count(*) FILTER (WHERE status >> 30 = 0 AND (value IS NOT NULL OR value_text IS NOT NULL)) AS complete,
        count(*) FILTER (WHERE status >> 30 = 0 AND value NOT BETWEEN p.low AND p.high) AS implausible,
        max(source_ts) FILTER (WHERE source_ts <= :moment) AS newest,
        (
            SELECT count(*) FROM raw.sensor_events AS before
            WHERE before.tag_id = t.tag_id AND before.origin <> 'backfill'
                AND before.source_ts > :moment - interval '7 days' - :span
                AND before.source_ts <= :moment - interval '7 days'
        ) AS readings_a_week_ago
    FROM raw.sensor_events
    WHERE tag_id = t.tag_id AND source_ts > :moment - :span
        AND (source_ts <= :moment OR origin = 'live' AND source_ts > landed_at + interval '1 minute')
) AS e
CROSS JOIN LATERAL ({_gap_seconds(":span")}) AS gaps
WHERE t.valid_to IS NULL OR t.valid_to > :moment
GROUP BY t.measurement, t.unit
HAVING sum(e.readings) + sum(e.readings_a_week_ago) > 0 OR max(l.source_ts) IS NOT NULL
"""

# One row, of all tags in service, whatever the span: the newest reading, and how much of the last week no gap covers. A
# reading of the day is looked for by tag, for the moment may be past; without one it is the last that there is.
PLANT = f"""
SELECT
    to_char(max(coalesce(e.newest, l.source_ts)) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI UTC') AS newest_reading,
    extract(EPOCH FROM :moment - max(coalesce(e.newest, l.source_ts)))::float8 / 3600 AS age_hours,
    1 - avg(gaps.seconds) / extract(EPOCH FROM interval '7 days')::float8 AS covered_share
FROM raw.tags AS t
LEFT JOIN raw.tag_latest AS l ON t.tag_id = l.tag_id AND l.source_ts <= :moment
CROSS JOIN LATERAL (
    SELECT max(source_ts) AS newest FROM raw.sensor_events
    WHERE tag_id = t.tag_id AND source_ts > :moment - interval '1 day' AND source_ts <= :moment
) AS e
CROSS JOIN LATERAL ({_gap_seconds("interval '7 days'")}) AS gaps
WHERE t.valid_to IS NULL OR t.valid_to > :moment
"""

# The seven days up to the newest window that the moment may see, in whole.
_SLICE = """
FROM marts.gold_ml_features
WHERE window_end <= :moment
  AND window_end > (SELECT max(window_end) FROM marts.gold_ml_features WHERE window_end <= :moment) - interval '7 days'
"""
# Those that models see, and how far out one may lie at most.
LEARNT_WINDOWS = (5, 15, 60)
FARTHEST = 1_000_000
DEVIATIONS = tuple(f"{measurement}_deviation_{window}m" for measurement in MEASUREMENTS for window in WINDOWS)
FEATURES = f"SELECT equipment_id, window_end, {', '.join(DEVIATIONS)} {_SLICE}"

# One row per measurement and unit, over the minutes in which the machine ran, from the first that had it: how many lack
# it for an hour, lack its deviation (a regime without baseline), or have a mean that its unit doesn't allow?
MEASURED = f"""
WITH spread AS (
    SELECT t.measurement, t.unit, r.window_end, m.mean, m.deviation,
        min(r.window_end) FILTER (WHERE m.mean IS NOT NULL) OVER (PARTITION BY t.equipment_id, t.measurement) AS since
    FROM (SELECT * {_SLICE} AND is_running AND in_maintenance IS NOT TRUE) AS r
    CROSS JOIN LATERAL (VALUES {", ".join(f"('{m}', r.{m}_mean_60m, r.{m}_deviation_60m)" for m in MEASUREMENTS)})
        AS m (measurement, mean, deviation)
    INNER JOIN (
        SELECT DISTINCT equipment_id, measurement, unit FROM raw.tags
        WHERE role = 'measurement' AND (valid_to IS NULL OR valid_to > :moment)
    ) AS t ON r.equipment_id = t.equipment_id AND m.measurement = t.measurement
)
SELECT
    spread.measurement,
    spread.unit,
    count(*) FILTER (WHERE mean IS NOT NULL)::float8 / count(*) AS complete_share,
    coalesce(count(*) FILTER (WHERE mean IS NOT NULL AND deviation IS NULL)::float8
        / nullif(count(*) FILTER (WHERE mean IS NOT NULL), 0), 0) AS null_share,
    count(*) FILTER (WHERE mean NOT BETWEEN p.low AND p.high)::float8 / count(*) AS implausible_share
FROM spread
LEFT JOIN (VALUES {_RANGES}) AS p (unit, low, high) ON spread.unit = p.unit
WHERE spread.window_end >= spread.since
GROUP BY spread.measurement, spread.unit
"""

# One row. Rows are counted on the grid only: older history may be kept on it alone, newer and the lead-up to
# failures is denser. Weeks are compared once there are two whole ones.
NEWEST = f"""
WITH grid AS (
    SELECT equipment_id, window_end FROM marts.gold_ml_features
    WHERE window_end <= :moment AND {sql_on_grid("window_end")}
),
newest AS (SELECT max(window_end) AS window_end FROM marts.gold_ml_features WHERE window_end <= :moment)
SELECT
    'gold_ml_features' AS mart,
    extract(EPOCH FROM :moment - newest.window_end)::float8 / 3600 AS age_hours,
    (
        SELECT count(*) FILTER (WHERE window_end > :moment - interval '7 days')::float8 / nullif(count(*) FILTER (
            WHERE window_end > :moment - interval '14 days' AND window_end <= :moment - interval '7 days'
        ), 0)
        FROM grid
        HAVING min(window_end) <= :moment - interval '14 days'
    ) AS volume_ratio,
    (
        SELECT count(*) FROM marts.gold_ml_features
        WHERE window_end > :moment - interval '7 days' AND window_end <= :moment
            AND available_at < window_end - interval '2 minutes'
    ) AS from_the_future
FROM newest
"""

_VALUES = ", ".join(
    f"('{m}', {m}_mean_60m, least({deviations}), greatest({deviations}))"
    for m in MEASUREMENTS
    for deviations in [", ".join(f"{m}_deviation_{window}m" for window in LEARNT_WINDOWS)]
)
_LEARNT = ", ".join(f"g.{m}_deviation_{window}m" for m in MEASUREMENTS for window in LEARNT_WINDOWS)
_ROW = f"""
    SELECT
        g.equipment_id, g.window_end, {_LEARNT}, {", ".join(f"mart.{m}_mean_60m" for m in MEASUREMENTS)},
        CASE WHEN g.next_fault_known_at <= :moment THEN g.next_fault_at END AS next_fault_at,
        g.next_fault_known_at <= :moment AND g.hours_to_fault <= :lead
            OR g.answer_known_at <= :moment AND g.answer = 'true_positive' AS is_positive
"""
# By its key, however many rows are expected: read whole, gold is a thousand times what is drawn.
_MART = """
    CROSS JOIN LATERAL (
        SELECT * FROM marts.gold_ml_features AS same
        WHERE same.equipment_id = g.equipment_id AND same.window_end = g.window_end
        OFFSET 0
    ) AS mart
"""
# One row per measurement and unit, of what a training would draw: how many rows have a mean that the unit doesn't
# allow, how many a deviation that no model can stand, and the first of both; beside them what is true of the rows that
# are drawn evenly. Of the hours before a fault and of an answer every row is drawn, of faults that any row knows of.
# The set has no means: they are the mart's of the same window. A unit counts until its tag was retired, the next one
# from then on. A window is positive in the hours before a failure, or work that came before one, or where an answer
# called it right. Read once, for each row costs a probe for its scored vector. NaN sorts above every number.
DRAWN = f"""
WITH drawn AS MATERIALIZED (
    {_ROW} FROM marts.ml_training_set AS g {_MART}
    WHERE {sql_usable(":moment", ":grace")} AND :evenly
),
stretches AS (
    SELECT equipment_id, next_fault_at - make_interval(secs => 3600 * :lead) AS since, next_fault_at AS until
    FROM drawn WHERE next_fault_at IS NOT NULL
    UNION
    SELECT equipment_id, from_ts, to_ts FROM ml.verdicts_at(:moment) WHERE label <> 'undecided'
),
near AS MATERIALIZED (
    {_ROW} FROM stretches
    CROSS JOIN LATERAL (
        SELECT * FROM marts.ml_training_set AS own
        WHERE own.equipment_id = stretches.equipment_id
            AND own.window_end > stretches.since AND own.window_end <= stretches.until
        OFFSET 0
    ) AS g {_MART}
    WHERE {sql_usable(":moment", ":grace")}
),
units AS (
    SELECT
        equipment_id, measurement, unit, until,
        lag(until, 1, '-infinity') OVER (PARTITION BY equipment_id, measurement ORDER BY until, unit) AS since
    FROM (
        SELECT DISTINCT equipment_id, measurement, unit, coalesce(valid_to, 'infinity') AS until
        FROM raw.tags WHERE role = 'measurement'
    ) AS tags
),
judged AS (
    SELECT
        v.measurement, units.unit, learnt.equipment_id, learnt.window_end,
        v.mean NOT BETWEEN p.low AND p.high AS impossible,
        v.lowest < -{FARTHEST} OR v.highest > {FARTHEST} AS far_out
    FROM (SELECT * FROM drawn UNION SELECT * FROM near) AS learnt
    CROSS JOIN LATERAL (VALUES {_VALUES}) AS v (measurement, mean, lowest, highest)
    LEFT JOIN units ON learnt.equipment_id = units.equipment_id AND v.measurement = units.measurement
        AND learnt.window_end > units.since AND learnt.window_end <= units.until
    LEFT JOIN (VALUES {_RANGES}) AS p (unit, low, high) ON units.unit = p.unit
    WHERE num_nonnulls(v.mean, v.lowest) > 0
),
measured AS (
    SELECT
        measurement, unit,
        count(*) FILTER (WHERE impossible) AS impossible,
        count(*) FILTER (WHERE far_out) AS far_out,
        min(to_char(window_end AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') || ' of ' || equipment_id)
            FILTER (WHERE impossible OR far_out) AS first
    FROM judged
    GROUP BY measurement, unit
),
total AS (
    SELECT
        count(*) AS drawn,
        coalesce(count(*) FILTER (WHERE is_positive)::float8 / nullif(count(*), 0), 0) AS positive_share
    FROM drawn
)
SELECT total.*, :step AS step, measured.* FROM total LEFT JOIN measured ON true
"""
