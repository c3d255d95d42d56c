-- card: Defect rate by day, last 90 days
-- display: line
SELECT
    plant_day,
    sum(defects)::double precision / sum(sample_size) AS defect_rate
FROM marts.mart_quality_dashboard
WHERE plant_day > current_date - 90
GROUP BY plant_day
ORDER BY plant_day;

-- card: Kinds of defect, last 30 days
-- display: bar
SELECT
    types.defect_name,
    sum(inspections.defects) AS defects
FROM marts.fact_quality_inspections AS inspections
INNER JOIN marts.dim_defect_types AS types ON inspections.defect_type = types.defect_type
WHERE inspections.plant_day > current_date - 30
GROUP BY types.defect_name
ORDER BY defects DESC, types.defect_name;

-- card: Machines and shifts, last 30 days
-- display: table
SELECT
    equipment_name,
    shift,
    sum(inspections) AS inspections,
    sum(passed)::double precision / sum(inspections) AS pass_rate,
    sum(defects)::double precision / sum(sample_size) AS defect_rate
FROM marts.mart_quality_dashboard
WHERE plant_day > current_date - 30
GROUP BY equipment_name, shift
ORDER BY defect_rate DESC, equipment_name, shift;

-- card: Products, last 30 days
-- display: row
SELECT
    coalesce(product, 'no order') AS product,
    sum(defects)::double precision / sum(sample_size) AS defect_rate,
    sum(sample_size) AS sample_size
FROM marts.mart_quality_dashboard
WHERE plant_day > current_date - 30
GROUP BY coalesce(product, 'no order')
ORDER BY defect_rate DESC;

-- card: Inspections that failed, last 14 days
-- display: table
SELECT
    inspections.inspected_at,
    equipment.equipment_name,
    inspections.shift,
    inspections.product,
    inspections.defects,
    inspections.sample_size,
    inspections.defect_type
FROM marts.fact_quality_inspections AS inspections
INNER JOIN marts.dim_equipment AS equipment ON inspections.equipment_id = equipment.equipment_id
WHERE NOT inspections.is_passed AND inspections.plant_day > current_date - 14
ORDER BY inspections.inspected_at DESC;

-- card: Defect rate in the week before a failure, and otherwise
-- display: bar
WITH failures AS (
    SELECT
        equipment_id,
        plant_day
    FROM marts.fact_equipment_events
    WHERE event_type = 'failure'
),

compared AS (
    SELECT
        board.defects,
        board.sample_size,
        exists(
            SELECT 1 FROM failures
            WHERE
                failures.equipment_id = board.equipment_id
                AND failures.plant_day >= board.plant_day
                AND failures.plant_day < board.plant_day + 7
        ) AS before_failure
    FROM marts.mart_quality_dashboard AS board
)

SELECT
    CASE WHEN before_failure THEN 'week before a failure' ELSE 'otherwise' END AS stretch,
    sum(defects)::double precision / sum(sample_size) AS defect_rate
FROM compared
GROUP BY before_failure
ORDER BY before_failure;
