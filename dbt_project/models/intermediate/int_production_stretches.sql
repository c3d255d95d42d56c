{{ config(materialized='view', tags=['hourly']) }}

with schedules as (
    select * from {{ ref('stg_mes_schedules') }}
),

orders as (
    select * from {{ ref('stg_mes_production_orders') }}
    where status <> 'cancelled'
),

equipment as (
    select * from {{ ref('stg_equipment') }}
),

-- A schedule's rate is of the load measurement, so it says what comes out only where that is the throughput.
scheduled as (
    select
        schedules.equipment_id,
        schedules.order_id,
        coalesce(orders.product, schedules.product) as product,
        coalesce(
            orders.planned_rate,
            case when equipment.load_measurement = 'throughput' then schedules.planned_rate end
        ) as planned_rate,
        schedules.starts_at,
        schedules.ends_at
    from schedules
    left join orders on schedules.order_id = orders.order_id
    left join equipment on schedules.equipment_id = equipment.equipment_id
    where schedules.planned_state = 'production'
),

-- A plant whose MES plans orders and no schedules.
ordered as (
    select
        equipment_id,
        order_id,
        product,
        planned_rate,
        coalesce(actual_start, planned_start) as starts_at,
        greatest(coalesce(actual_end, planned_end), coalesce(actual_start, planned_start)) as ends_at
    from orders
    where equipment_id not in (select schedules.equipment_id from schedules)
),

united as (
    select * from scheduled
    union all
    select * from ordered
    where ends_at > starts_at
)

select * from united
