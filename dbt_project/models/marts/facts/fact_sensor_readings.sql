{{ config(materialized='view', meta={'domain': 'plant'}) }}

with minutes as (
    select * from {{ ref('int_sensor_minutes') }}
),

tags as (
    select * from {{ ref('stg_tags') }}
),

equipment as (
    select * from {{ ref('dim_equipment') }}
),

joined as (
    select
        tags.tag_id,
        minutes.minute,
        tags.equipment_id,
        equipment.plant_id,
        {{ plant_day('minutes.minute', 'equipment.time_zone') }} as plant_day,
        tags.measurement,
        tags.position,
        tags.role,
        tags.unit,
        minutes.reading_count,
        minutes.good_count,
        minutes.value_mean,
        {{ spread('minutes.good_count', 'minutes.value_sum', 'minutes.value_sumsq') }} as value_std,
        minutes.value_min,
        minutes.value_max,
        minutes.value_first,
        minutes.value_last,
        minutes.text_last,
        minutes.available_at
    from minutes
    inner join tags on minutes.tag_id = tags.tag_id
    inner join equipment on tags.equipment_id = equipment.equipment_id
)

select * from joined
