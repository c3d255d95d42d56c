-- The features of one minute the usual way: window functions over raw readings, found by the usual index on
-- (tag_id, source_ts). Kept as kind to it as can be: only the minute's own windows are computed and not those of every
-- reading, the baselines are given, nothing is deduplicated, late rows are nobody's business.
-- %(end)s: where the windows end, %(hours)s: how far the readings reach back, %(tags)s: the tags 1 to that many.
WITH readings AS (
    SELECT
        r.tag_id,
        t.equipment_id,
        t.measurement,
        t.position,
        r.source_ts,
        extract(EPOCH FROM r.source_ts - %(end)s)::double precision / 60 AS minute,
        r.status >> 30 <> 0 AS is_bad,
        CASE WHEN r.status >> 30 = 0 THEN r.value END AS value
    FROM raw.sensor_events AS r
    INNER JOIN raw.tags AS t ON r.tag_id = t.tag_id
    WHERE
        r.tag_id BETWEEN 1 AND %(tags)s
        AND r.source_ts >= %(end)s - %(hours)s * interval '1 hour'
        AND r.source_ts < %(end)s
),

windowed AS (
    SELECT
        *,
        lead(source_ts) OVER whole IS NULL AS is_last,
        avg(value) FILTER (WHERE minute >= -5) OVER whole AS mean_5m,
        stddev_pop(value) FILTER (WHERE minute >= -5) OVER whole AS std_5m,
        min(value) FILTER (WHERE minute >= -5) OVER whole AS min_5m,
        max(value) FILTER (WHERE minute >= -5) OVER whole AS max_5m,
        regr_slope(value, minute) FILTER (WHERE minute >= -5) OVER whole AS slope_5m,
        first_value(value) OVER last_5m AS first_5m,
        avg(value) FILTER (WHERE minute >= -15) OVER whole AS mean_15m,
        stddev_pop(value) FILTER (WHERE minute >= -15) OVER whole AS std_15m,
        min(value) FILTER (WHERE minute >= -15) OVER whole AS min_15m,
        max(value) FILTER (WHERE minute >= -15) OVER whole AS max_15m,
        regr_slope(value, minute) FILTER (WHERE minute >= -15) OVER whole AS slope_15m,
        first_value(value) OVER last_15m AS first_15m,
        avg(value) FILTER (WHERE minute >= -30) OVER whole AS mean_30m,
        stddev_pop(value) FILTER (WHERE minute >= -30) OVER whole AS std_30m,
        min(value) FILTER (WHERE minute >= -30) OVER whole AS min_30m,
        max(value) FILTER (WHERE minute >= -30) OVER whole AS max_30m,
        regr_slope(value, minute) FILTER (WHERE minute >= -30) OVER whole AS slope_30m,
        first_value(value) OVER last_30m AS first_30m,
        avg(value) FILTER (WHERE minute >= -60) OVER whole AS mean_60m,
        stddev_pop(value) FILTER (WHERE minute >= -60) OVER whole AS std_60m,
        min(value) FILTER (WHERE minute >= -60) OVER whole AS min_60m,
        max(value) FILTER (WHERE minute >= -60) OVER whole AS max_60m,
        regr_slope(value, minute) FILTER (WHERE minute >= -60) OVER whole AS slope_60m,
        first_value(value) OVER last_60m AS first_60m,
        avg(value) OVER whole AS mean_24h,
        stddev_pop(value) OVER whole AS std_24h,
        avg(value * value * value) OVER whole AS cubes_24h,
        count(*) FILTER (WHERE is_bad AND minute >= -60) OVER whole::double precision
        / nullif(count(*) FILTER (WHERE minute >= -60) OVER whole, 0) AS bad_share_60m
    FROM readings
    WINDOW
        whole AS (
            PARTITION BY tag_id ORDER BY source_ts ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ),
        last_5m AS (
            PARTITION BY tag_id ORDER BY source_ts RANGE BETWEEN interval '5 minutes' PRECEDING AND CURRENT ROW
        ),
        last_15m AS (
            PARTITION BY tag_id ORDER BY source_ts RANGE BETWEEN interval '15 minutes' PRECEDING AND CURRENT ROW
        ),
        last_30m AS (
            PARTITION BY tag_id ORDER BY source_ts RANGE BETWEEN interval '30 minutes' PRECEDING AND CURRENT ROW
        ),
        last_60m AS (
            PARTITION BY tag_id ORDER BY source_ts RANGE BETWEEN interval '60 minutes' PRECEDING AND CURRENT ROW
        )
),

described AS (
    SELECT
        w.*,
        (w.value - w.first_5m) / 5 AS rate_5m,
        (w.value - w.first_15m) / 15 AS rate_15m,
        (w.value - w.first_30m) / 30 AS rate_30m,
        (w.value - w.first_60m) / 60 AS rate_60m,
        100 * (w.value - w.first_5m) / nullif(abs(w.first_5m), 0) AS change_5m,
        100 * (w.value - w.first_15m) / nullif(abs(w.first_15m), 0) AS change_15m,
        100 * (w.value - w.first_30m) / nullif(abs(w.first_30m), 0) AS change_30m,
        100 * (w.value - w.first_60m) / nullif(abs(w.first_60m), 0) AS change_60m,
        (w.mean_5m - b.baseline_mean) / b.baseline_std AS deviation_5m,
        (w.mean_15m - b.baseline_mean) / b.baseline_std AS deviation_15m,
        (w.mean_30m - b.baseline_mean) / b.baseline_std AS deviation_30m,
        (w.mean_60m - b.baseline_mean) / b.baseline_std AS deviation_60m,
        (w.cubes_24h - 3 * w.mean_24h * w.std_24h ^ 2 - w.mean_24h ^ 3) / nullif(w.std_24h ^ 3, 0) AS skewness_24h,
        (w.mean_5m - w.mean_24h) / nullif(w.std_24h, 0) AS zscore_24h
    FROM windowed AS w
    LEFT JOIN LATERAL (
        SELECT i.baseline_mean, i.baseline_std FROM intermediate.int_baselines AS i
        WHERE
            i.equipment_id = w.equipment_id AND i.measurement = w.measurement AND i.position = w.position
            AND i.version_day < %(end)s::date
        ORDER BY i.version_day DESC, i.minute_count DESC LIMIT 1
    ) AS b ON w.is_last
    WHERE w.is_last
)

SELECT
    equipment_id,
    max(mean_60m) FILTER (WHERE measurement = 'temperature') AS temperature_mean_60m,
    array_agg(to_jsonb(described) ORDER BY measurement, position) AS features,
    max(mean_5m) FILTER (WHERE measurement = 'temperature') * max(mean_5m) FILTER (WHERE measurement = 'vibration')
        AS temperature_x_vibration,
    max(mean_5m) FILTER (WHERE measurement = 'power') / nullif(max(mean_5m) FILTER (WHERE measurement = 'speed'), 0)
        AS power_per_speed,
    (
        SELECT extract(EPOCH FROM %(end)s - max(o.completed_at)) / 3600 FROM raw.cmms_work_orders AS o
        WHERE o.equipment_id = described.equipment_id AND o.completed_at <= %(end)s
    ) AS hours_since_maintenance,
    (
        SELECT count(*) FROM raw.cmms_failures AS f
        WHERE f.equipment_id = described.equipment_id AND f.failed_at <= %(end)s
            AND f.failed_at > %(end)s - interval '90 days'
    ) AS failures_90d
FROM described
GROUP BY equipment_id
