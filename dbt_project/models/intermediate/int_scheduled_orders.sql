{{ config(materialized='view', pre_hook=[], post_hook=[]) }}

with schedules as not materialized (
    select * from {{ ref('stg_mes_schedules') }}
),

orders as not materialized (
    select * from {{ ref('stg_mes_production_orders') }}
),

begun as (
    select
        'order:' || order_id as stretch_id,
        equipment_id,
        order_id,
        product,
        actual_start as starts_at,
        case
            when actual_end is not null then actual_end
            when status = 'running' then 'infinity'::timestamptz
            else greatest(planned_end, actual_start)
        end as ends_at,
        true as is_actual
    from orders
    where actual_start is not null and (status <> 'cancelled' or actual_end is not null)
),

-- Here and below a scalar subquery and no join: this is read for one machine after another, and a join would read all
-- orders each time.
scheduled as (
    select
        'schedule:' || schedule_id as stretch_id,
        equipment_id,
        order_id,
        product,
        starts_at,
        ends_at,
        false as is_actual
    from schedules
    where
        planned_state = 'production'
        and (
            select orders.actual_start from orders
            where orders.order_id = schedules.order_id
        ) is null
),

-- A plant whose MES plans orders and no schedules.
ordered as (
    select
        'order:' || order_id as stretch_id,
        equipment_id,
        order_id,
        product,
        planned_start as starts_at,
        planned_end as ends_at,
        false as is_actual
    from orders
    where
        actual_start is null
        and status <> 'cancelled'
        and (
            select min(schedules.starts_at) from schedules
            where schedules.equipment_id = orders.equipment_id
        ) is null
),

united as (
    select * from begun
    union all
    select * from scheduled
    union all
    select * from ordered
)

select * from united
