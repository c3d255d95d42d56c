{{ config(materialized='view', tags=['hourly']) }}

with breakdowns as (
    select * from {{ ref('int_breakdown_detections') }}
    where is_failure and downtime_h is not null
),

by_type as (
    select
        equipment_type,
        count(*)::integer as failures,
        avg(downtime_h) as mean_downtime_h
    from breakdowns
    where equipment_type is not null
    group by equipment_type
)

select * from by_type
