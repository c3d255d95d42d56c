{{ config(materialized='view', tags=['hourly']) }}

with equipment as (
    select * from {{ ref('stg_equipment') }}
),

plants as (
    select * from {{ ref('stg_plants') }}
),

assets as (
    select * from {{ ref('stg_sap_equipment') }}
),

joined as (
    select
        equipment.equipment_id,
        equipment.equipment_name,
        equipment.plant_id,
        plants.plant_name,
        plants.time_zone,
        equipment.area,
        equipment.equipment_type,
        equipment.load_measurement,
        equipment.rated_load,
        assets.manufacturer,
        assets.model,
        assets.commissioned_on,
        assets.criticality,
        assets.downtime_cost_per_h::double precision as downtime_cost_per_h,
        assets.currency,
        equipment.retired_at is null as is_in_service,
        equipment.retired_at
    from equipment
    inner join plants on equipment.plant_id = plants.plant_id
    left join assets on equipment.equipment_id = assets.equipment_id
)

select * from joined
