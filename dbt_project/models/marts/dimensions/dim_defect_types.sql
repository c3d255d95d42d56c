{{ config(materialized='table', meta={'domain': 'mes'}) }}

with inspections as (
    select * from {{ ref('stg_mes_quality_inspections') }}
),

named as (
    select
        coalesce(defect_type, 'unspecified') as defect_type,
        equipment_id,
        inspected_at,
        defects
    from inspections
    where defects > 0
),

summed_up as (
    select
        defect_type,
        upper(left(replace(defect_type, '_', ' '), 1)) || substr(replace(defect_type, '_', ' '), 2) as defect_name,
        min(inspected_at) as first_seen_at,
        max(inspected_at) as last_seen_at,
        count(distinct equipment_id)::integer as machines
    from named
    group by defect_type
)

select * from summed_up
