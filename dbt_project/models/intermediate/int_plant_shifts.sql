{{ config(materialized='view', tags=['hourly']) }}

with shifts as (
    select * from {{ ref('stg_mes_shifts') }}
),

plants as (
    select * from {{ ref('stg_plants') }}
),

of_plants as (
    select
        plants.plant_id,
        shifts.shift_id,
        shifts.shift,
        shifts.crew,
        shifts.starts_at,
        shifts.ends_at
    from shifts
    inner join plants on plants.plant_id = coalesce(shifts.plant_id, plants.plant_id)
)

select * from of_plants
