-- The averages of the minute for every machine that is scored, and not only for one with a recommendation. They are kept beside
-- the score, for a dashboard must not read what dbt drops and makes anew.
ALTER TABLE ml.scores
ADD COLUMN temp_avg_5min double precision,
ADD COLUMN vibration_avg_5min double precision,
ADD COLUMN throughput_avg_5min double precision;
COMMENT ON COLUMN ml.scores.temp_avg_5min IS
'mean over the last 5 minutes of the window, as the mart had it; NULL without a good reading in them, in replayed scores and before this was kept';
COMMENT ON COLUMN ml.scores.vibration_avg_5min IS 'the same of vibration';
COMMENT ON COLUMN ml.scores.throughput_avg_5min IS 'the same of throughput';

CREATE OR REPLACE VIEW serving.hmi_dashboard AS
SELECT
    s.equipment_id,
    s.equipment_name,
    s.area,
    s.equipment_type,
    s.run_state,
    s.temperature,
    s.vibration,
    s.pressure,
    s.throughput,
    s.power,
    s.speed,
    s."current",
    s.voltage,
    s.bad_tags,
    s.last_value_at,
    s.data_age_s,
    score.anomaly_score,
    score.window_end AS scored_at,
    coalesce(alerts.open_alerts, 0) AS open_alerts,
    alerts.worst_alert,
    pending.recommendation_id,
    pending.timestamp AS recommendation_timestamp,
    pending.anomaly_score AS recommendation_score,
    pending.severity,
    pending.action_code,
    pending.recommendation_text,
    pending.confidence,
    pending.estimated_ttf,
    coalesce(alerts.shelved_alerts, 0) AS shelved_alerts,
    s.uncertain_tags,
    s.unreachable_since,
    score.temp_avg_5min,
    score.vibration_avg_5min,
    score.throughput_avg_5min
FROM serving.equipment_state AS s
LEFT JOIN LATERAL (
    SELECT sc.anomaly_score, sc.window_end, sc.temp_avg_5min, sc.vibration_avg_5min, sc.throughput_avg_5min
    FROM ml.scores AS sc
    WHERE sc.equipment_id = s.equipment_id AND sc.role = 'champion' AND sc.superseded_at IS NULL
    ORDER BY sc.window_end DESC LIMIT 1
) AS score ON true
LEFT JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE NOT a.is_shelved) AS open_alerts,
        count(*) FILTER (WHERE a.is_shelved) AS shelved_alerts,
        (array_agg(a.severity ORDER BY array_position(ARRAY['emergency', 'critical', 'warning'], a.severity))
            FILTER (WHERE NOT a.is_shelved))[1] AS worst_alert
    FROM (
        SELECT c.severity, c.state = 'shelved' AND c.shelved_until > clock_timestamp() AS is_shelved
        FROM serving.critical_alerts AS c WHERE c.equipment_id = s.equipment_id AND c.state <> 'cleared'
    ) AS a
) AS alerts ON true
LEFT JOIN LATERAL (
    SELECT r.* FROM serving.recommendations_serving AS r
    WHERE r.equipment_id = s.equipment_id AND r.status = 'pending' ORDER BY r.anomaly_score DESC LIMIT 1
) AS pending ON true;
COMMENT ON VIEW serving.hmi_dashboard IS
'One row per equipment in service: state, score and averages of the minute, open alerts and the pending recommendation.';
COMMENT ON COLUMN serving.hmi_dashboard.scored_at IS
'end of the newest window that was scored, minutes back where the machine stands; NULL where none was. The score and the averages are of it';
COMMENT ON COLUMN serving.hmi_dashboard.temp_avg_5min IS 'mean over the 5 minutes up to scored_at; NULL without a good reading in them';
COMMENT ON COLUMN serving.hmi_dashboard.vibration_avg_5min IS 'the same of vibration';
COMMENT ON COLUMN serving.hmi_dashboard.throughput_avg_5min IS 'the same of throughput';
