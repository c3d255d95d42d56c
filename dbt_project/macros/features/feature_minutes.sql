{#- The CTEs reach, phases, wanted and readings of gold_ml_features: the minutes that the targets' windows are made of,
    by machine and by tag, with an index probe for each hour. A quarter of a million rows a minute pass through what is
    made of `readings`: it has no column more than is needed. -#}
{% macro feature_minutes() -%}
-- The hours that the windows of those minutes reach into, how far, and which blocks they are made of.
reach as materialized (
    select
        targets.equipment_id,
        earlier.hour,
        min(greatest(targets.minute - interval '60 minutes', earlier.hour)) as from_minute,
        max(least(targets.minute, earlier.hour + interval '59 minutes')) as to_minute
    from targets
    cross join lateral (
        values ({{ utc_hour('targets.minute') }}), ({{ utc_hour('targets.minute') }} - interval '1 hour')
    ) as earlier (hour)
    group by targets.equipment_id, earlier.hour
),

phases as materialized (
    select distinct
        targets.equipment_id,
        targets.number / 60 - earlier.hours as hour_number,
        targets.number % {{ var('windows')[0] }} as phase
    from targets
    cross join (values (0), (1)) as earlier (hours)
),

wanted as materialized (
    select
        minutes_of_hour.*,
        {{ minute_number('minutes_of_hour.minute') }} as number,
        {{ plant_day('minutes_of_hour.minute', 'equipment.time_zone') }} - 1 as version_day
    from reach
    inner join equipment on reach.equipment_id = equipment.equipment_id
    cross join lateral (
        select * from equipment_minutes
        where
            equipment_minutes.equipment_id = reach.equipment_id
            and reach.from_minute <= equipment_minutes.minute
            and equipment_minutes.minute <= reach.to_minute
        offset 0
    ) as minutes_of_hour
),

readings as materialized (
    select
        tags.series_id,
        tags.equipment_id,
        tags.tags_of_measurement,
        minutes_of_hour.*
    from reach
    inner join tags on reach.equipment_id = tags.equipment_id
    cross join lateral (
        select
            tag_minutes.tag_id,
            tag_minutes.minute,
            tag_minutes.value_mean,
            tag_minutes.value_min,
            tag_minutes.value_max,
            tag_minutes.reading_count,
            tag_minutes.good_count
        from tag_minutes
        where
            tag_minutes.tag_id = tags.tag_id
            and reach.from_minute <= tag_minutes.minute
            and tag_minutes.minute <= reach.to_minute
        offset 0
    ) as minutes_of_hour
)
{%- endmacro %}
