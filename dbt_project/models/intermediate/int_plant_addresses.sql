{{ config(materialized='view', tags=['hourly']) }}

with plants as (
    select * from {{ ref('stg_plants') }}
),

addresses as (
    select * from {{ ref('stg_sap_plants') }}
),

joined as (
    select
        plants.plant_id,
        plants.plant_name,
        plants.time_zone,
        addresses.country,
        addresses.city,
        addresses.currency
    from plants
    left join addresses on plants.plant_id = addresses.plant_id
)

select * from joined
