-- card: Machines by status
-- display: pie
SELECT
    status,
    count(*) AS machines
FROM marts.mart_equipment_health
GROUP BY status
ORDER BY machines DESC;

-- card: Machines, worst first
-- display: table
SELECT
    equipment_name,
    area,
    status,
    round(anomaly_score::numeric, 2) AS score,
    action_code,
    round(estimated_ttf::numeric, 1) AS hours_to_failure,
    scored_window_end
FROM marts.mart_equipment_health
ORDER BY anomaly_score DESC NULLS LAST, equipment_name;

-- card: Highest score by hour, last 7 days
-- display: line
SELECT
    date_trunc('hour', window_end) AS hour,
    equipment_id,
    max(anomaly_score) AS highest_score
FROM ml.scores
WHERE role = 'champion' AND superseded_at IS NULL AND window_end > now() - interval '7 days'
GROUP BY hour, equipment_id
ORDER BY hour, equipment_id;

-- card: Z-scores of the machine that is worst off, last 6 hours
-- display: line
WITH worst AS (
    SELECT equipment_id
    FROM marts.mart_equipment_health
    WHERE anomaly_score IS NOT NULL
    ORDER BY anomaly_score DESC
    LIMIT 1
)

SELECT
    readings.window_end,
    concat_ws(' ', readings.measurement, nullif(readings.position, '')) AS sensor,
    readings.z_score
FROM marts.silver_enriched_sensors AS readings
INNER JOIN worst ON readings.equipment_id = worst.equipment_id
WHERE readings.window_end > now() - interval '6 hours' AND readings.z_score IS NOT NULL
ORDER BY readings.window_end, sensor;

-- card: Alarms by day, last 30 days
-- display: bar
SELECT
    plant_day,
    severity,
    count(*) AS alarms
FROM marts.fact_equipment_events
WHERE event_type = 'alarm' AND plant_day > current_date - 30
GROUP BY plant_day, severity
ORDER BY plant_day, severity;

-- card: Share of bad readings by machine, last 24 hours
-- display: row
SELECT
    equipment_id,
    sum(reading_count - good_count)::double precision / sum(reading_count) AS bad_share
FROM marts.silver_enriched_sensors
WHERE window_end > now() - interval '24 hours'
GROUP BY equipment_id
ORDER BY bad_share DESC, equipment_id;
