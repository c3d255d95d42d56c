{{ config(materialized='view', tags=['hourly']) }}

with failures as (
    select * from {{ ref('stg_cmms_failures') }}
),

work_orders as (
    select * from {{ ref('stg_cmms_work_orders') }}
),

failed as (
    select
        'failure:' || failures.failure_id as breakdown_id,
        failures.equipment_id,
        failures.component,
        failures.failure_mode as mode,
        true as is_failure,
        failures.failed_at as occurred_at,
        coalesce(failures.repaired_at, work_orders.completed_at) as over_at
    from failures
    left join work_orders on failures.work_order_id = work_orders.work_order_id
),

-- A corrective order near a failure is its repair; others came before one.
caught as (
    select
        'work_order:' || work_orders.work_order_id as breakdown_id,
        work_orders.equipment_id,
        work_orders.component,
        work_orders.problem_code as mode,
        false as is_failure,
        work_orders.opened_at as occurred_at,
        work_orders.completed_at as over_at
    from work_orders
    where
        work_orders.kind = 'corrective'
        and (work_orders.problem_code ~* '^({{ var("nothing_found") }})$') is not true
        and not exists (
            select 1 from failures
            where
                failures.equipment_id = work_orders.equipment_id
                and (
                    failures.work_order_id = work_orders.work_order_id
                    or work_orders.opened_at between failures.failed_at - interval '24 hours'
                    and failures.failed_at + interval '24 hours'
                )
        )
),

united as (
    select * from failed
    union all
    select * from caught
)

select * from united
