{{ config(materialized='view', tags=['hourly']) }}

with shifts as (
    select * from {{ ref('stg_mes_shifts') }}
),

equipment as (
    select * from {{ ref('int_equipment_assets') }}
),

horizon as (
    select
        '{{ moment() }}'::timestamptz as moment,
        '{{ moment() }}'::timestamptz - interval '{{ var("board_days") }} days' as since
),

in_shifts as (
    select
        equipment.equipment_id,
        equipment.plant_id,
        shifts.shift,
        shifts.crew,
        {{ plant_day('shifts.starts_at', 'equipment.time_zone') }} as plant_day,
        shifts.starts_at,
        least(shifts.ends_at, horizon.moment) as ends_at,
        shifts.ends_at <= horizon.moment as is_complete
    from equipment
    inner join shifts on equipment.plant_id = coalesce(shifts.plant_id, equipment.plant_id)
    inner join horizon on shifts.starts_at >= horizon.since and shifts.starts_at < horizon.moment
),

-- The days of a plant whose MES knows no shifts. Midnights are the plant's: a day of the change of clocks has 23 or 25
-- hours.
in_days as (
    select
        equipment.equipment_id,
        equipment.plant_id,
        'day' as shift,
        null::text as crew,
        calendar.day::date as plant_day,
        calendar.day at time zone equipment.time_zone as starts_at,
        least((calendar.day + interval '1 day') at time zone equipment.time_zone, horizon.moment) as ends_at,
        (calendar.day + interval '1 day') at time zone equipment.time_zone <= horizon.moment as is_complete
    from equipment
    cross join horizon
    cross join lateral generate_series(
        (horizon.since at time zone equipment.time_zone)::date::timestamp,
        horizon.moment at time zone equipment.time_zone,
        interval '1 day'
    ) as calendar (day)
    where
        calendar.day at time zone equipment.time_zone < horizon.moment
        and not exists (
            select 1 from shifts
            where coalesce(shifts.plant_id, equipment.plant_id) = equipment.plant_id
        )
),

united as (
    select * from in_shifts
    union all
    select * from in_days
)

select * from united
