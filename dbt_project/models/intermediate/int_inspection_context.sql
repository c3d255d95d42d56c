{{ config(materialized='view', tags=['hourly']) }}

with inspections as (
    select
        *,
        {{ utc_day('inspected_at') }} as day
    from {{ ref('stg_mes_quality_inspections') }}
),

equipment as (
    select * from {{ ref('int_equipment_assets') }}
),

orders as (
    select * from {{ ref('stg_mes_production_orders') }}
),

shifts as (
    select
        shifts.*,
        days.day::date as day
    from {{ ref('stg_mes_shifts') }} as shifts
    cross join lateral {{ utc_days('shifts.starts_at', 'shifts.ends_at') }} as days (day)
),

stretches as (
    select
        stretches.*,
        days.day::date as day
    from {{ ref('int_production_stretches') }} as stretches
    cross join lateral {{ utc_days('stretches.starts_at', 'stretches.ends_at') }} as days (day)
),

-- Where shifts or stretches overlap, what began last holds.
placed as (
    select distinct on (inspections.inspection_id)
        inspections.inspection_id,
        equipment.plant_id,
        {{ plant_day('coalesce(shifts.starts_at, inspections.inspected_at)', 'equipment.time_zone') }} as plant_day,
        shifts.shift,
        shifts.crew,
        coalesce(inspections.order_id, stretches.order_id) as order_id,
        stretches.product
    from inspections
    left join equipment on inspections.equipment_id = equipment.equipment_id
    left join shifts
        on
            inspections.day = shifts.day
            and inspections.inspected_at >= shifts.starts_at
            and inspections.inspected_at < shifts.ends_at
            and equipment.plant_id = coalesce(shifts.plant_id, equipment.plant_id)
    left join stretches
        on
            inspections.equipment_id = stretches.equipment_id
            and inspections.day = stretches.day
            and inspections.inspected_at >= stretches.starts_at
            and inspections.inspected_at < stretches.ends_at
    order by inspections.inspection_id, shifts.starts_at desc nulls last, stretches.starts_at desc nulls last
),

joined as (
    select
        placed.inspection_id,
        placed.plant_id,
        placed.plant_day,
        placed.shift,
        placed.crew,
        placed.order_id,
        coalesce(orders.product, placed.product) as product
    from placed
    left join orders on placed.order_id = orders.order_id
)

select * from joined
