-- Four days of two machines up to a moment: what every board has something to say about. A is measured, produces in
-- three shifts, breaks down once and was warned of; B is planned and never counted.
INSERT INTO raw.sap_plants (plant_id, name, country, city, currency, available_at)
VALUES ('P', 'Plant', 'NO', 'Oslo', 'EUR', %(moment)s - interval '90 days');
INSERT INTO raw.sap_equipment (equipment_id, plant_id, manufacturer, model, commissioned_on, criticality, downtime_cost_per_h, currency, available_at)
VALUES
('A', 'P', 'Maker', 'M1', '2020-01-01', 'A', 1000, 'EUR', %(moment)s - interval '90 days'),
('B', 'P', 'Maker', 'M2', '2021-01-01', 'B', 500, 'EUR', %(moment)s - interval '90 days');
INSERT INTO raw.sap_spare_parts (part_id, plant_id, description, component, model, stock, lead_time_days, unit_cost, available_at)
VALUES ('S1', 'P', 'Bearing', 'bearing', 'M1', 0, 21, 100, %(moment)s - interval '90 days');
INSERT INTO raw.mes_shifts (shift_id, plant_id, shift, crew, starts_at, ends_at, available_at)
SELECT 'SH' || n, 'P', (ARRAY['early', 'late', 'night'])[n %% 3 + 1], 'C' || n %% 4, at, at + interval '8 hours', at
FROM generate_series(0, 11) AS n CROSS JOIN LATERAL (SELECT %(moment)s - interval '96 hours' + n * interval '8 hours' AS at) AS s;
INSERT INTO raw.mes_schedules (schedule_id, equipment_id, order_id, product, planned_state, planned_rate, starts_at, ends_at, available_at)
SELECT equipment_id || shift_id, equipment_id, 'O' || shift_id, 'ore', 'production', 100, starts_at, ends_at - interval '1 hour', starts_at
FROM raw.mes_shifts CROSS JOIN raw.equipment;
INSERT INTO raw.mes_schedules (schedule_id, equipment_id, planned_state, planned_rate, starts_at, ends_at, available_at)
VALUES ('next', 'A', 'maintenance', 0, %(moment)s + interval '3 days', %(moment)s + interval '76 hours', %(moment)s);
INSERT INTO raw.mes_production_orders (order_id, equipment_id, product, planned_quantity, unit, planned_rate, planned_start, planned_end, status, available_at)
SELECT 'O' || shift_id, 'A', 'fine ore', 840, 't', 120, starts_at, ends_at, 'completed', starts_at FROM raw.mes_shifts WHERE shift_id <> 'SH0';
INSERT INTO raw.mes_production_counts (count_id, equipment_id, order_id, from_ts, to_ts, produced_quantity, good_quantity, unit, available_at)
SELECT 'C' || n, 'A', 'OSH' || n / 8, at, at + interval '1 hour', 90, 81, 't', at + interval '1 hour'
FROM generate_series(0, 95) AS n CROSS JOIN LATERAL (SELECT %(moment)s - interval '96 hours' + n * interval '1 hour' AS at) AS s
WHERE n %% 8 < 7;
INSERT INTO raw.mes_downtime (downtime_id, equipment_id, starts_at, ends_at, planned, reason, work_order_id, available_at)
VALUES
('D1', 'A', %(moment)s - interval '50 hours', %(moment)s - interval '46 hours', false, 'bearing', 'W1', %(moment)s),
('D2', 'A', %(moment)s - interval '20 hours', %(moment)s - interval '19 hours', true, 'cleaning', NULL, %(moment)s),
('D3', 'B', %(moment)s - interval '30 minutes', NULL, false, 'jam', NULL, %(moment)s);
INSERT INTO raw.mes_quality_inspections (inspection_id, equipment_id, order_id, inspected_at, sample_size, defects, defect_type, passed, available_at)
SELECT 'Q' || n, 'A', NULL, %(moment)s - n * interval '4 hours' - interval '5 minutes', 50, n %% 7, CASE WHEN n %% 7 > 1 THEN 'oversize' END, n %% 7 < 5, %(moment)s
FROM generate_series(0, 20) AS n;
INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, component, problem_code, action_taken, opened_at, started_at, completed_at, available_at)
VALUES ('W1', 'A', 'corrective', 'bearing', 'bearing_wear', 'replaced', %(moment)s - interval '50 hours', %(moment)s - interval '49 hours', %(moment)s - interval '46 hours', %(moment)s);
INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, repaired_at, work_order_id, available_at)
VALUES ('F1', 'A', 'bearing', 'bearing_wear', %(moment)s - interval '50 hours', %(moment)s - interval '46 hours', 'W1', %(moment)s);
INSERT INTO raw.cmms_maintenance (maintenance_id, equipment_id, component, kind, performed_at, work_order_id, available_at)
VALUES ('M1', 'A', 'bearing', 'corrective', %(moment)s - interval '46 hours', 'W1', %(moment)s);
INSERT INTO raw.cmms_errors (error_id, equipment_id, error_code, occurred_at, message, available_at)
VALUES ('E1', 'A', 'E17', %(moment)s - interval '2 hours', 'overload', %(moment)s);
INSERT INTO serving.critical_alerts (equipment_id, tag_id, measurement, timestamp, severity, direction, value, limit_value, action_code, recommendation_text, state)
VALUES ('A', 1, 'temperature', %(moment)s - interval '3 hours', 'critical', 'high', 95, 90, 'reduce_speed', 'x', 'active');
INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code, confidence, estimated_ttf, moment, scored_at)
SELECT e, at, '1', 'champion', CASE e WHEN 'A' THEN 0.85 ELSE 0.1 END, 'reduce_speed', 0.9, 5, at, at + interval '9 seconds'
FROM unnest(ARRAY['A', 'B']) AS e
CROSS JOIN generate_series(%(moment)s - interval '2 hours', %(moment)s, interval '1 minute') AS at;
INSERT INTO ml.recommendations (recommendation_id, equipment_id, "timestamp", anomaly_score, severity, action_code, recommendation_text, confidence, model_version, held_reason, created_at)
SELECT 'r' || n, 'A', %(moment)s - hours * interval '1 hour', 0.8, 'significant', 'schedule_maintenance', 'x', 0.9, '1', reason, %(moment)s - hours * interval '1 hour' + interval '11 seconds'
FROM (VALUES (1, 60, NULL), (2, 55, NULL), (3, 62, 'not confirmed: it waits'), (4, 1, NULL), (5, 40, NULL)) AS v (n, hours, reason);
INSERT INTO serving.recommendations_serving (recommendation_id, equipment_id, "timestamp", anomaly_score, severity, action_code, recommendation_text, confidence, model_version, status, published_at)
SELECT r.recommendation_id, r.equipment_id, r."timestamp", r.anomaly_score, r.severity, r.action_code, r.recommendation_text, r.confidence, r.model_version,
    CASE r.recommendation_id WHEN 'r1' THEN 'executed' WHEN 'r2' THEN 'rejected' WHEN 'r5' THEN 'executed' ELSE 'pending' END, r."timestamp" + interval '12 seconds'
FROM ml.recommendations AS r WHERE r.held_reason IS NULL;
INSERT INTO raw.operator_feedback (feedback_id, recommendation_id, equipment_id, recommendation_timestamp, operator_action, operator_id, action_timestamp, created_at)
SELECT 'f' || r.recommendation_id, r.recommendation_id, r.equipment_id, r."timestamp", r.status, 'kari', r.published_at + interval '10 minutes', r.published_at + interval '10 minutes'
FROM serving.recommendations_serving AS r WHERE r.status <> 'pending';
INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, source, source_id, judged_at)
SELECT f.equipment_id, f.recommendation_timestamp - interval '15 minutes', f.recommendation_timestamp,
    CASE f.operator_action WHEN 'executed' THEN 'true_positive' ELSE 'false_positive' END, 'feedback', f.feedback_id, f.action_timestamp
FROM raw.operator_feedback AS f;
-- What the feedback sync makes of the failure after the rejected one.
INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, source, source_id, judged_by, judged_at)
SELECT f.equipment_id, f.recommendation_timestamp - interval '15 minutes', f.recommendation_timestamp, 'true_positive', 'cmms', 'r2 1', 'F', f.action_timestamp
FROM raw.operator_feedback AS f WHERE f.recommendation_id = 'r2';
INSERT INTO ops.pipeline_metrics (measured_at, stage, metric, value)
VALUES (%(moment)s - interval '1 hour', 'ingest', 'lag_ms_p99', 40), (%(moment)s - interval '1 hour', 'score', 'score_s', 0.4);
