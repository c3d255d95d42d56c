{{ config(materialized='view', pre_hook=[], post_hook=[]) }}

with equipment as (
    select * from {{ ref('stg_equipment') }}
),

assets as (
    select * from {{ ref('stg_sap_equipment') }}
),

work_orders as (
    select * from {{ ref('stg_cmms_work_orders') }}
),

maintenance as (
    select * from {{ ref('stg_cmms_maintenance') }}
),

failures as (
    select * from {{ ref('stg_cmms_failures') }}
),

errors as (
    select * from {{ ref('stg_cmms_errors') }}
),

-- What was told late counts from when it was told: no window saw it before. The maintenance that counts is the latest
-- of those that are known by then, whichever was told last.
services as (
    select
        equipment_id,
        greatest(serviced_at, available_at) as known_at,
        max(serviced_at) over (
            partition by equipment_id order by greatest(serviced_at, available_at)
        ) as latest_serviced_at
    from (
        select
            equipment_id,
            completed_at as serviced_at,
            available_at
        from work_orders
        where completed_at is not null
        union all
        select
            equipment_id,
            performed_at as serviced_at,
            available_at
        from maintenance
    ) as told
),

serviced as (
    select
        equipment_id,
        array_agg(known_at order by known_at, latest_serviced_at) as services_known_at,
        array_agg(latest_serviced_at order by known_at, latest_serviced_at) as services
    from services
    group by equipment_id
),

failed as (
    select
        equipment_id,
        array_agg(greatest(failed_at, available_at) order by greatest(failed_at, available_at)) as failures_known_at
    from failures
    group by equipment_id
),

erred as (
    select
        equipment_id,
        array_agg(greatest(occurred_at, available_at) order by greatest(occurred_at, available_at))
            as errors_known_at
    from errors
    group by equipment_id
),

-- What models learn faults from: failures, and the corrective work orders that came before one.
led_up_to as (
    select
        equipment_id,
        array_agg(event_at order by event_at) as fault_times
    from (
        select
            equipment_id,
            failed_at as event_at
        from failures
        union all
        select
            equipment_id,
            opened_at as event_at
        from work_orders
        where kind = 'corrective'
    ) as events
    group by equipment_id
)

select
    equipment.equipment_id,
    assets.commissioned_on,
    serviced.services_known_at,
    serviced.services,
    failed.failures_known_at,
    erred.errors_known_at,
    led_up_to.fault_times
from equipment
left join assets on equipment.equipment_id = assets.equipment_id
left join serviced on equipment.equipment_id = serviced.equipment_id
left join failed on equipment.equipment_id = failed.equipment_id
left join erred on equipment.equipment_id = erred.equipment_id
left join led_up_to on equipment.equipment_id = led_up_to.equipment_id
