{{ config(materialized='view', tags=['hourly']) }}

with failures as (
    select
        'failure:' || failure_id as event_id,
        equipment_id,
        'failure' as event_type,
        failure_mode as code,
        component,
        null::text as severity,
        null::text as detail,
        work_order_id,
        failed_at as starts_at,
        repaired_at as ends_at
    from {{ ref('stg_cmms_failures') }}
),

errors as (
    select
        'error:' || error_id as event_id,
        equipment_id,
        'error' as event_type,
        error_code as code,
        null::text as component,
        null::text as severity,
        message as detail,
        null::text as work_order_id,
        occurred_at as starts_at,
        occurred_at as ends_at
    from {{ ref('stg_cmms_errors') }}
),

work_orders as (
    select
        'work_order:' || work_order_id as event_id,
        equipment_id,
        'work_order' as event_type,
        kind as code,
        component,
        null::text as severity,
        action_taken as detail,
        work_order_id,
        coalesce(started_at, opened_at) as starts_at,
        completed_at as ends_at
    from {{ ref('stg_cmms_work_orders') }}
),

maintenance as (
    select
        'maintenance:' || maintenance_id as event_id,
        equipment_id,
        'maintenance' as event_type,
        kind as code,
        component,
        null::text as severity,
        null::text as detail,
        work_order_id,
        performed_at as starts_at,
        performed_at as ends_at
    from {{ ref('stg_cmms_maintenance') }}
),

downtime as (
    select
        'downtime:' || downtime_id as event_id,
        equipment_id,
        'downtime' as event_type,
        case when planned then 'planned' else 'unplanned' end as code,
        null::text as component,
        null::text as severity,
        reason as detail,
        work_order_id,
        starts_at,
        ends_at
    from {{ ref('stg_mes_downtime') }}
),

alarms as (
    select
        'alarm:' || alert_id as event_id,
        equipment_id,
        'alarm' as event_type,
        concat_ws(' ', measurement, nullif(position, ''), direction) as code,
        null::text as component,
        severity,
        null::text as detail,
        null::text as work_order_id,
        passed_at as starts_at,
        cleared_at as ends_at
    from {{ ref('stg_critical_alerts') }}
),

recommendations as (
    select
        'recommendation:' || recommendation_id as event_id,
        equipment_id,
        'recommendation' as event_type,
        action_code as code,
        null::text as component,
        severity,
        status as detail,
        null::text as work_order_id,
        window_end as starts_at,
        window_end as ends_at
    from {{ ref('stg_recommendations_serving') }}
),

united as (
    select * from failures
    union all
    select * from errors
    union all
    select * from work_orders
    union all
    select * from maintenance
    union all
    select * from downtime
    union all
    select * from alarms
    union all
    select * from recommendations
)

select * from united
