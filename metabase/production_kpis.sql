-- card: OEE by day, last 30 days
-- display: line
WITH days AS (
    SELECT
        plant_day,
        sum(run_minutes) / nullif(sum(planned_minutes), 0) AS availability,
        sum(produced_quantity)
        / nullif(sum(ideal_quantity) FILTER (WHERE produced_quantity IS NOT NULL), 0) AS performance,
        sum(good_quantity) / nullif(sum(produced_quantity), 0) AS quality
    FROM marts.mart_production_kpis
    WHERE is_complete AND plant_day > current_date - 30
    GROUP BY plant_day
)

SELECT
    plant_day,
    availability,
    performance,
    quality,
    availability * performance * quality AS oee
FROM days
ORDER BY plant_day;

-- card: OEE by machine, last 30 days
-- display: table
WITH machines AS (
    SELECT
        equipment_name,
        sum(run_minutes) / nullif(sum(planned_minutes), 0) AS availability,
        sum(produced_quantity) / nullif(sum(ideal_quantity), 0) AS performance,
        sum(good_quantity) / nullif(sum(produced_quantity), 0) AS quality
    FROM marts.mart_production_kpis
    WHERE is_complete AND plant_day > current_date - 30
    GROUP BY equipment_name
)

SELECT
    equipment_name,
    availability,
    performance,
    quality,
    availability * performance * quality AS oee
FROM machines
ORDER BY oee NULLS LAST, equipment_name;

-- card: Throughput by shift, last 14 days
-- display: line
SELECT
    plant_day,
    shift,
    equipment_name,
    throughput_per_h
FROM marts.mart_production_kpis
WHERE throughput_per_h IS NOT NULL AND plant_day > current_date - 14
ORDER BY plant_day, shift, equipment_name;

-- card: Reasons of unplanned downtime, last 30 days
-- display: bar
SELECT
    detail AS reason,
    count(*) AS stops,
    round((sum(duration_minutes) / 60)::numeric, 1) AS hours
FROM marts.fact_equipment_events
WHERE event_type = 'downtime' AND code = 'unplanned' AND plant_day > current_date - 30
GROUP BY detail
ORDER BY hours DESC NULLS LAST;

-- card: Downtime and its cost by machine, last 30 days
-- display: table
SELECT
    equipment_name,
    sum(unplanned_stops) AS unplanned_stops,
    round((sum(unplanned_downtime_minutes) / 60)::numeric, 1) AS unplanned_h,
    round((sum(planned_downtime_minutes) / 60)::numeric, 1) AS planned_h,
    round(sum(downtime_cost)::numeric) AS downtime_cost,
    max(currency) AS currency
FROM marts.mart_production_kpis
WHERE plant_day > current_date - 30
GROUP BY equipment_name
ORDER BY unplanned_h DESC NULLS LAST, equipment_name;

-- card: Produced, good and possible by week
-- display: bar
SELECT
    dates.week_start,
    sum(kpis.ideal_quantity) AS possible,
    sum(kpis.produced_quantity) AS produced,
    sum(kpis.good_quantity) AS good
FROM marts.mart_production_kpis AS kpis
INNER JOIN marts.dim_date AS dates ON kpis.plant_day = dates.date_day
GROUP BY dates.week_start
ORDER BY dates.week_start;

-- card: Crews, last 30 days
-- display: row
SELECT
    crew,
    sum(run_minutes) / nullif(sum(planned_minutes), 0) AS availability,
    sum(produced_quantity) / nullif(sum(ideal_quantity), 0) AS performance,
    sum(good_quantity) / nullif(sum(produced_quantity), 0) AS quality
FROM marts.mart_production_kpis
WHERE is_complete AND plant_day > current_date - 30
GROUP BY crew
ORDER BY crew;
