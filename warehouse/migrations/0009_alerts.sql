-- One open alert a cause (a direction of a tag), limits on the rate of change, and how patient an alarm is.

ALTER TABLE raw.limits
DROP CONSTRAINT limits_direction_check,
ADD CONSTRAINT limits_direction_check CHECK (direction IN ('high', 'low', 'rising', 'falling')),
ADD COLUMN hysteresis double precision NOT NULL DEFAULT 0,
ADD COLUMN on_delay_s double precision NOT NULL DEFAULT 0,
ADD COLUMN off_delay_s double precision NOT NULL DEFAULT 0,
ADD COLUMN deduplication_s double precision NOT NULL DEFAULT 300,
ADD COLUMN rate_window_s double precision;
COMMENT ON COLUMN raw.limits.limit_value IS 'in the unit of the tag; for rising and falling that unit a minute';
COMMENT ON COLUMN raw.limits.hysteresis IS 'how far inside its limit an alarm clears, in the unit of limit_value';
COMMENT ON COLUMN raw.limits.on_delay_s IS 'how long a value must be beyond its limit; 0 for emergencies';
COMMENT ON COLUMN raw.limits.off_delay_s IS 'how long a value must be back before its alarm clears';
COMMENT ON COLUMN raw.limits.deduplication_s IS 'no second alert of no greater severity within so long; emergencies excepted';
COMMENT ON COLUMN raw.limits.rate_window_s IS 'stretch over which a change is measured; NULL for high and low';

ALTER TABLE serving.critical_alerts
DROP CONSTRAINT critical_alerts_direction_check,
ADD CONSTRAINT critical_alerts_direction_check CHECK (direction IN ('high', 'low', 'rising', 'falling')),
ADD COLUMN cleared_because text CHECK (cleared_because IN ('returned', 'escalated', 'eased', 'unwatched')),
ADD COLUMN replaces bigint;
COMMENT ON COLUMN serving.critical_alerts.value IS 'the value that was beyond the limit; for rising and falling the change a minute';
COMMENT ON COLUMN serving.critical_alerts.transitions IS
'how often the limit was passed and left again, folded into this alert: 1 when it is raised, 2 once it is cleared, more where it chattered';
COMMENT ON COLUMN serving.critical_alerts.shelved_until IS 'out of the open alerts until then; it comes back by itself';
COMMENT ON COLUMN serving.critical_alerts.cleared_because IS
'returned: the value is back; escalated, eased: a severer or a milder alert of the same cause took its place; unwatched: no longer in the plant file';
COMMENT ON COLUMN serving.critical_alerts.replaces IS 'the alert of the same cause that this one took the place of';
COMMENT ON TABLE serving.critical_alerts IS 'One row per alert, from active to cleared; at most one open a direction of a tag.';

UPDATE serving.critical_alerts AS milder
SET state = 'cleared', cleared_at = clock_timestamp(), cleared_because = 'escalated', transitions = milder.transitions + 1
FROM serving.critical_alerts AS severer
WHERE
    milder.tag_id = severer.tag_id AND milder.direction = severer.direction AND milder.state <> 'cleared' AND severer.state <> 'cleared'
    AND array_position(ARRAY['warning', 'critical', 'emergency'], milder.severity)
    < array_position(ARRAY['warning', 'critical', 'emergency'], severer.severity);
DROP INDEX serving.critical_alerts_one_open;
CREATE UNIQUE INDEX critical_alerts_one_open ON serving.critical_alerts (tag_id, direction) WHERE state <> 'cleared';
CREATE INDEX critical_alerts_cause ON serving.critical_alerts (tag_id, direction, alert_id);
CREATE INDEX critical_alerts_shelved ON serving.critical_alerts (shelved_until) WHERE state = 'shelved';

-- Whoever writes: what is cleared stays so, and a new crossing is a new alert.
CREATE FUNCTION serving.refuse_reopening() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'alert % is cleared: a cleared alert never becomes % again', OLD.alert_id, NEW.state
        USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;
CREATE TRIGGER refuse_reopening BEFORE UPDATE OF state ON serving.critical_alerts FOR EACH ROW
WHEN (OLD.state = 'cleared' AND NEW.state <> 'cleared') EXECUTE FUNCTION serving.refuse_reopening();

-- A shelved alert is out of the count until its time is over, also while no worker runs that would bring it back.
CREATE OR REPLACE VIEW serving.hmi_dashboard AS
SELECT
    s.*,
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
    coalesce(alerts.shelved_alerts, 0) AS shelved_alerts
FROM serving.equipment_state AS s
LEFT JOIN LATERAL (
    SELECT sc.anomaly_score, sc.window_end FROM ml.scores AS sc
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
