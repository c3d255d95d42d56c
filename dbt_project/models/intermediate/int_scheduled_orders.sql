{{ config(materialized='view', pre_hook=[], post_hook=[]) }}

with schedules as (
    select * from {{ ref('stg_mes_schedules') }}
),

production as (
    select
        schedule_id,
        equipment_id,
        order_id,
        product,
        starts_at,
        ends_at
    from schedules
    where planned_state = 'production'
)

select * from production
