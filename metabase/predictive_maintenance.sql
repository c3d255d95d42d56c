-- card: What to look after first
-- display: table
SELECT
    equipment_name,
    criticality,
    status,
    round(anomaly_score::numeric, 2) AS score,
    round(estimated_ttf::numeric, 1) AS hours_to_failure,
    action_code,
    round(cost_at_risk::numeric) AS cost_at_risk,
    currency,
    next_maintenance_at,
    missing_parts
FROM marts.mart_predictive_maintenance
ORDER BY cost_at_risk DESC NULLS LAST, anomaly_score DESC NULLS LAST;

-- card: Open recommendations
-- display: table
SELECT
    equipment_name,
    recommended_at,
    severity,
    action_code,
    recommendation_status,
    round(estimated_ttf::numeric, 1) AS hours_to_failure
FROM marts.mart_predictive_maintenance
WHERE recommendation_id IS NOT NULL
ORDER BY recommended_at;

-- card: Failures by component, last 90 days
-- display: bar
SELECT
    component,
    code AS failure_mode,
    count(*) AS failures,
    round((avg(duration_minutes) / 60)::numeric, 1) AS mean_hours_to_repair
FROM marts.fact_equipment_events
WHERE event_type = 'failure' AND plant_day > current_date - 90
GROUP BY component, code
ORDER BY failures DESC, component;

-- card: Time to detect, to respond, and of warning, by week
-- display: line
SELECT
    week_start,
    plant_id,
    mean_minutes_to_detect,
    mean_minutes_to_respond,
    mean_warning_h
FROM marts.mart_business_impact
ORDER BY week_start, plant_id;

-- card: Downtime, and downtime prevented, by week
-- display: bar
SELECT
    week_start,
    sum(failure_downtime_h) AS downtime_h,
    sum(downtime_prevented_h) AS downtime_prevented_h,
    sum(cost_prevented) AS cost_prevented
FROM marts.mart_business_impact
GROUP BY week_start
ORDER BY week_start;

-- card: Acceptance, precision and false alarms by week
-- display: line
SELECT
    week_start,
    sum(executed)::double precision / nullif(sum(executed + rejected + deferred), 0) AS acceptance,
    sum(judged_true)::double precision / nullif(sum(judged_true + judged_false), 0) AS precision_by_feedback,
    sum(false_alarms)::double precision / nullif(sum(confirmed + false_alarms), 0) AS false_alarm_rate
FROM marts.mart_model_performance
GROUP BY week_start
ORDER BY week_start;

-- card: Models and actions
-- display: table
SELECT
    model_version,
    action_code,
    sum(candidates) AS candidates,
    sum(shown) AS shown,
    sum(executed) AS executed,
    sum(rejected) AS rejected,
    sum(false_alarms) AS false_alarms,
    sum(confirmed) AS confirmed
FROM marts.mart_model_performance
GROUP BY model_version, action_code
ORDER BY model_version DESC, shown DESC, action_code;

-- card: The pipeline by hour, last 48 hours
-- display: line
SELECT
    hour,
    readings,
    windows_scored,
    anomalies,
    recommendations,
    landing_p99_ms,
    transform_s,
    window_to_score_s
FROM marts.mart_pipeline_metrics
WHERE hour > now() - interval '48 hours'
ORDER BY hour;
