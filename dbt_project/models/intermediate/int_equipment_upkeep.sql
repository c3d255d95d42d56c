{{ config(tags=['hourly'], unique_key='equipment_id') }}
{#- Written in place: a new table would drop the board that stands on it. -#}
{%- set moment = "'" ~ moment() ~ "'::timestamptz" %}

with equipment as (
    select * from {{ ref('int_equipment_assets') }}
    where is_in_service
),

breakdowns as (
    select * from {{ ref('int_breakdowns') }}
    where occurred_at <= {{ moment }}
),

failed as (
    select
        equipment_id,
        (count(*) filter (where occurred_at > {{ moment }} - interval '90 days'))::integer as failures_90d,
        max(occurred_at) as last_failure_at,
        -- Between the first and the last failure: what came before the first is not known to have been whole.
        date_part('epoch', max(occurred_at) - min(occurred_at)) / 3600 / nullif(count(*) - 1, 0)
            as mean_h_between_failures,
        avg(date_part('epoch', over_at - occurred_at) / 3600) as mean_h_to_repair
    from breakdowns
    where is_failure
    group by equipment_id
),

erred as (
    select
        equipment_id,
        count(*)::integer as errors_24h
    from {{ ref('stg_cmms_errors') }}
    where occurred_at <= {{ moment }} and occurred_at > {{ moment }} - interval '24 hours'
    group by equipment_id
),

ordered as (
    select
        equipment_id,
        (count(*) filter (where completed_at is null and opened_at <= {{ moment }}))::integer as open_work_orders
    from {{ ref('stg_cmms_work_orders') }}
    group by equipment_id
),

serviced as (
    select
        history.equipment_id,
        {{ last_service_at(moment) }} as last_maintenance_at
    from {{ ref('int_equipment_history') }} as history
),

planned as (
    select
        equipment_id,
        min(starts_at) as next_maintenance_at
    from {{ ref('stg_mes_schedules') }}
    where planned_state = 'maintenance' and starts_at > {{ moment }}
    group by equipment_id
),

stocked as (
    select
        plant_id,
        model,
        string_agg(component, ', ' order by component) filter (where stock = 0) as missing_parts,
        max(lead_time_days) filter (where stock = 0) as missing_parts_lead_days
    from {{ ref('stg_sap_spare_parts') }}
    group by plant_id, model
),

joined as (
    select
        equipment.equipment_id,
        coalesce(failed.failures_90d, 0) as failures_90d,
        failed.last_failure_at,
        failed.mean_h_between_failures,
        failed.mean_h_to_repair,
        coalesce(erred.errors_24h, 0) as errors_24h,
        coalesce(ordered.open_work_orders, 0) as open_work_orders,
        serviced.last_maintenance_at,
        planned.next_maintenance_at,
        stocked.missing_parts,
        stocked.missing_parts_lead_days
    from equipment
    left join failed on equipment.equipment_id = failed.equipment_id
    left join erred on equipment.equipment_id = erred.equipment_id
    left join ordered on equipment.equipment_id = ordered.equipment_id
    left join serviced on equipment.equipment_id = serviced.equipment_id
    left join planned on equipment.equipment_id = planned.equipment_id
    left join stocked on equipment.plant_id = stocked.plant_id and equipment.model = stocked.model
)

select * from joined
