{{ config(meta={'domain': 'mes'}) }}

with slots as (
    select
        *,
        tstzrange(starts_at, ends_at) as span
    from {{ ref('int_equipment_slots') }}
),

slot_days as (
    select
        slots.*,
        days.day::date as day
    from slots
    cross join lateral {{ utc_days('slots.starts_at', 'slots.ends_at') }} as days (day)
),

stretches as (
    select
        stretches.*,
        days.day::date as day
    from {{ ref('int_production_stretches') }} as stretches
    cross join lateral {{ utc_days('stretches.starts_at', 'stretches.ends_at') }} as days (day)
),

downtime as (
    select
        stops.*,
        days.day::date as day
    from (
        select
            equipment_id,
            planned,
            starts_at,
            coalesce(ends_at, greatest(starts_at, '{{ moment() }}'::timestamptz)) as ends_at
        from {{ ref('stg_mes_downtime') }}
    ) as stops
    cross join lateral {{ utc_days('stops.starts_at', 'stops.ends_at') }} as days (day)
),

counts as (
    select
        counted.*,
        days.day::date as day
    from (
        select
            equipment_id,
            from_ts as starts_at,
            to_ts as ends_at,
            produced_quantity,
            good_quantity
        from {{ ref('stg_mes_production_counts') }}
    ) as counted
    cross join lateral {{ utc_days('counted.starts_at', 'counted.ends_at') }} as days (day)
),

stopped as (
    select
        slot_days.equipment_id,
        slot_days.starts_at,
        coalesce(
            range_agg(tstzrange(downtime.starts_at, downtime.ends_at) * slot_days.span) filter (where downtime.planned),
            '{}'::tstzmultirange
        ) as planned_stops,
        coalesce(
            range_agg(tstzrange(downtime.starts_at, downtime.ends_at) * slot_days.span)
            filter (where not downtime.planned),
            '{}'::tstzmultirange
        ) as unplanned_stops,
        (count(*) filter (where not downtime.planned and downtime.starts_at >= slot_days.starts_at))::integer
            as stop_count
    from slot_days
    inner join downtime
        on slot_days.equipment_id = downtime.equipment_id and {{ first_common_day('slot_days', 'downtime') }}
    group by slot_days.equipment_id, slot_days.starts_at
),

planned as (
    select
        slot_days.equipment_id,
        slot_days.starts_at,
        stretches.planned_rate,
        tstzmultirange(tstzrange(stretches.starts_at, stretches.ends_at) * slot_days.span)
        - coalesce(stopped.planned_stops, '{}') as planned_time,
        coalesce(stopped.unplanned_stops, '{}') as unplanned_stops
    from slot_days
    inner join stretches
        on slot_days.equipment_id = stretches.equipment_id and {{ first_common_day('slot_days', 'stretches') }}
    left join stopped
        on slot_days.equipment_id = stopped.equipment_id and slot_days.starts_at = stopped.starts_at
),

-- Stretches that overlap count once in time, each with its own rate in what they should yield.
ran as (
    select
        equipment_id,
        starts_at,
        range_agg(planned_time) as planned_time,
        range_agg(planned_time - unplanned_stops) as run_time,
        sum(planned_rate * {{ minutes_in('planned_time - unplanned_stops') }} / 60) as ideal_quantity
    from planned
    group by equipment_id, starts_at
),

-- A count that reaches over the end of a shift is shared out by time.
counted as (
    select
        slot_days.equipment_id,
        slot_days.starts_at,
        sum(counts.produced_quantity * shared.part) as produced_quantity,
        sum(counts.good_quantity * shared.part) as good_quantity
    from slot_days
    inner join counts
        on slot_days.equipment_id = counts.equipment_id and {{ first_common_day('slot_days', 'counts') }}
    cross join lateral (
        select
            date_part(
                'epoch',
                least(slot_days.ends_at, counts.ends_at) - greatest(slot_days.starts_at, counts.starts_at)
            ) / date_part('epoch', counts.ends_at - counts.starts_at) as part
    ) as shared
    group by slot_days.equipment_id, slot_days.starts_at
),

joined as (
    select
        slots.equipment_id,
        slots.plant_id,
        slots.plant_day,
        slots.shift,
        slots.crew,
        slots.starts_at,
        slots.ends_at,
        slots.is_complete,
        {{ minutes_in('ran.planned_time') }} as planned_minutes,
        {{ minutes_in('ran.run_time') }} as run_minutes,
        {{ minutes_in('ran.planned_time * stopped.unplanned_stops') }} as unplanned_downtime_minutes,
        {{ minutes_in('stopped.planned_stops') }} as planned_downtime_minutes,
        coalesce(stopped.stop_count, 0) as unplanned_stops,
        ran.ideal_quantity,
        counted.produced_quantity,
        counted.good_quantity
    from slots
    left join ran on slots.equipment_id = ran.equipment_id and slots.starts_at = ran.starts_at
    left join stopped on slots.equipment_id = stopped.equipment_id and slots.starts_at = stopped.starts_at
    left join counted on slots.equipment_id = counted.equipment_id and slots.starts_at = counted.starts_at
    where coalesce(ran.equipment_id, stopped.equipment_id, counted.equipment_id) is not null
)

select * from joined
