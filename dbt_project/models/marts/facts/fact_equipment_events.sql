with events as (
    select * from {{ ref('int_equipment_events') }}
),

equipment as (
    select * from {{ ref('dim_equipment') }}
),

joined as (
    select
        events.event_id,
        events.equipment_id,
        equipment.plant_id,
        {{ plant_day('events.starts_at', 'equipment.time_zone') }} as plant_day,
        events.event_type,
        events.code,
        events.component,
        events.severity,
        events.detail,
        events.work_order_id,
        events.starts_at,
        events.ends_at,
        date_part('epoch', events.ends_at - events.starts_at) / 60 as duration_minutes,
        events.ends_at is null as is_open
    from events
    left join equipment on events.equipment_id = equipment.equipment_id
)

select * from joined
