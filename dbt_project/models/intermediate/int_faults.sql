{{ config(materialized='view', tags=['hourly']) }}

with failures as (
    select * from {{ ref('stg_cmms_failures') }}
),

work_orders as (
    select * from {{ ref('stg_cmms_work_orders') }}
),

-- A corrective work order that came before a failure; one within a day of a failure is that failure's.
caught as (
    select work_orders.*
    from work_orders
    where
        work_orders.kind = 'corrective'
        and (work_orders.problem_code ~* '^({{ var("nothing_found") }})$') is not true
        and not exists (
            select 1 from failures
            where
                failures.work_order_id = work_orders.work_order_id
                or (
                    failures.equipment_id = work_orders.equipment_id
                    and failures.failed_at >= work_orders.opened_at - interval '24 hours'
                    and failures.failed_at <= work_orders.opened_at + interval '24 hours'
                )
        )
),

unioned as (
    select
        failure_id as fault_id,
        equipment_id,
        failure_mode as mode,
        failed_at as fault_at,
        available_at as known_at,
        true as is_failure
    from failures
    union all
    select
        work_order_id as fault_id,
        equipment_id,
        problem_code as mode,
        opened_at as fault_at,
        available_at as known_at,
        false as is_failure
    from caught
),

-- The stretch in which a fault is the next one: what looks ahead joins it by range, a machine's few faults at a time.
ordered as (
    select
        *,
        coalesce(
            lag(fault_at) over (partition by equipment_id order by fault_at, fault_id), '-infinity'
        ) as next_since
    from unioned
)

select * from ordered
