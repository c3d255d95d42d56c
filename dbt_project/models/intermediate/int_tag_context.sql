{{ config(materialized='view', pre_hook=[], post_hook=[]) }}

with tags as (
    select * from {{ ref('stg_tags') }}
),

assets as (
    select * from {{ ref('int_equipment_assets') }}
),

limits as (
    select
        equipment_id,
        measurement,
        position,
        max(limit_value) filter (where severity = 'warning' and direction = 'high') as warning_high,
        max(limit_value) filter (where severity = 'critical' and direction = 'high') as critical_high,
        max(limit_value) filter (where severity = 'warning' and direction = 'low') as warning_low,
        max(limit_value) filter (where severity = 'critical' and direction = 'low') as critical_low
    from {{ ref('stg_limits') }}
    group by equipment_id, measurement, position
),

joined as (
    select
        tags.tag_id,
        tags.equipment_id,
        tags.measurement,
        tags.position,
        tags.role,
        tags.unit,
        assets.plant_id,
        assets.time_zone,
        assets.model,
        assets.criticality,
        limits.warning_low,
        limits.warning_high,
        limits.critical_low,
        limits.critical_high
    from tags
    inner join assets on tags.equipment_id = assets.equipment_id
    left join limits
        on
            tags.equipment_id = limits.equipment_id
            and tags.measurement = limits.measurement
            and tags.position = limits.position
)

select * from joined
