{{ config(materialized='view', pre_hook=[], post_hook=[]) }}

with plants as (
    select * from {{ ref('stg_plants') }}
),

shifts as (
    select * from {{ ref('stg_mes_shifts') }}
),

-- A shift without a plant is that of every plant.
spread_out as (
    select
        plants.plant_id,
        shifts.shift_id,
        shifts.shift,
        shifts.crew,
        shifts.starts_at,
        shifts.ends_at
    from plants
    inner join shifts on plants.plant_id = coalesce(shifts.plant_id, plants.plant_id)
)

select * from spread_out
