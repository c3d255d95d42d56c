-- What a panel shows of one machine read all machines' tags: a CTE whose views call clock_timestamp() is not inlined, and no
-- condition gets into it. A subquery takes the machine's.
CREATE OR REPLACE VIEW serving.equipment_state AS
SELECT
    e.equipment_id,
    e.name AS equipment_name,
    e.area,
    e.equipment_type,
    max(l.state) FILTER (WHERE l.role = 'state') AS run_state,
    avg(l.value) FILTER (WHERE l.measurement = 'temperature' AND l.role = 'measurement' AND l.is_good) AS temperature,
    max(l.value) FILTER (WHERE l.measurement = 'vibration' AND l.role = 'measurement' AND l.is_good) AS vibration,
    avg(l.value) FILTER (WHERE l.measurement = 'pressure' AND l.role = 'measurement' AND l.is_good) AS pressure,
    avg(l.value) FILTER (WHERE l.measurement = 'throughput' AND l.role = 'measurement' AND l.is_good) AS throughput,
    avg(l.value) FILTER (WHERE l.measurement = 'power' AND l.role = 'measurement' AND l.is_good) AS power,
    avg(l.value) FILTER (WHERE l.measurement = 'speed' AND l.role = 'measurement' AND l.is_good) AS speed,
    avg(l.value) FILTER (WHERE l.measurement = 'current' AND l.role = 'measurement' AND l.is_good) AS "current",
    avg(l.value) FILTER (WHERE l.measurement = 'voltage' AND l.role = 'measurement' AND l.is_good) AS voltage,
    count(*) FILTER (WHERE l.quality <> 'good') AS bad_tags,
    max(l.source_ts) AS last_value_at,
    extract(EPOCH FROM clock_timestamp() - max(l.source_ts))::double precision AS data_age_s,
    count(*) FILTER (WHERE l.quality = 'uncertain') AS uncertain_tags,
    min(l.unreachable_since) AS unreachable_since
FROM raw.equipment AS e
LEFT JOIN (
    SELECT
        t.equipment_id,
        t.measurement,
        t.role,
        l.value,
        l.source_ts,
        l.quality,
        l.unreachable_since,
        -- A state as the server sends it, in the words of plant.yml.
        coalesce(t.states ->> coalesce(l.value_text, l.value::text), lower(coalesce(l.value_text, l.value::text))) AS state,
        l.usable AS is_good
    FROM raw.tags AS t
    INNER JOIN raw.tag_current AS l ON t.tag_id = l.tag_id
    WHERE t.valid_to IS NULL
) AS l ON e.equipment_id = l.equipment_id
WHERE e.retired_at IS NULL
GROUP BY e.equipment_id;

-- The same of reasons: a condition on machine and time only gets below DISTINCT ON and a window that name them.
CREATE OR REPLACE VIEW serving.recommendation_reasons AS
WITH explained AS (
    SELECT
        r.recommendation_id,
        r.equipment_id,
        r.timestamp,
        latest.recommendation_id AS explained_id
    FROM serving.recommendations_serving AS r
    CROSS JOIN LATERAL (
        SELECT c.recommendation_id FROM ml.recommendations AS c
        WHERE c.shown_as = r.recommendation_id
            AND EXISTS (SELECT FROM ml.explanations AS x WHERE x.recommendation_id = c.recommendation_id)
        ORDER BY c.timestamp DESC LIMIT 1
    ) AS latest
),

-- Of a measurement's windows the one that spoke most: five different reasons, not one five times.
distinct_reasons AS (
    SELECT DISTINCT ON (
        explained.equipment_id, explained.timestamp, explained.recommendation_id, x.measurement, x.feature LIKE '%flat_minutes'
    )
        explained.recommendation_id,
        explained.equipment_id,
        explained.timestamp,
        x.*
    FROM explained
    INNER JOIN LATERAL (
        SELECT
            e.rank AS overall_rank, e.channel, e.feature, e.measurement, e.window_minutes, e.value, e.unit, e.normal_low,
            e.normal_high, e.direction, e.contribution, e.base_value, e.output_value, e.model_version, e.data_gaps
        FROM ml.explanations AS e WHERE e.recommendation_id = explained.explained_id
    ) AS x ON true
    ORDER BY
        explained.equipment_id, explained.timestamp, explained.recommendation_id, x.measurement,
        x.feature LIKE '%flat_minutes', x.overall_rank
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY equipment_id, timestamp, recommendation_id ORDER BY overall_rank) AS rank
    FROM distinct_reasons
)

SELECT
    recommendation_id,
    equipment_id,
    timestamp,
    rank,
    measurement,
    feature,
    window_minutes,
    value,
    unit,
    normal_low,
    normal_high,
    direction,
    contribution,
    channel,
    base_value,
    output_value,
    data_gaps,
    model_version
FROM ranked
WHERE rank <= 5;
