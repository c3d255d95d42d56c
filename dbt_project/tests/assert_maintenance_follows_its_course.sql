-- Why: a work order that was completed before it began, or a machine repaired before it failed, makes negative times to
-- repair, and a minute in maintenance that wasn't. Someone has to correct the row in the CMMS; the next load brings it.
{{ config(severity='warn', store_failures=true) }}

select
    'work order' as kind,
    work_order_id as row_id,
    equipment_id,
    coalesce(started_at, opened_at) as begins_at,
    completed_at as ends_at
from {{ ref('stg_cmms_work_orders') }}
where completed_at < started_at or started_at < opened_at
union all
select
    'failure' as kind,
    failure_id as row_id,
    equipment_id,
    failed_at as begins_at,
    repaired_at as ends_at
from {{ ref('stg_cmms_failures') }}
where repaired_at < failed_at
