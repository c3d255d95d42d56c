{#- The CTEs day_hours, days and machine_days of gold_ml_features: the 24 full hours before the targets' own, by tag, by
    measurement and by machine. -#}
{% macro feature_hours() -%}
-- Hours that are over when a minute begins: point in time right, and the same for all minutes of an hour.
day_hours as materialized (
    select
        tags.series_id,
        target_hours.hour_number,
        hours_of_day.*
    from (
        select distinct
            equipment_id,
            {{ utc_hour('minute') }} as target_hour,
            number / 60 as hour_number
        from targets
    ) as target_hours
    inner join tags on target_hours.equipment_id = tags.equipment_id
    cross join lateral (
        select
            tag_hours.tag_id,
            tag_hours.minute_count,
            tag_hours.all_count,
            tag_hours.all_mean,
            tag_hours.all_m2,
            tag_hours.all_m3,
            tag_hours.available_at
        from tag_hours
        where
            tag_hours.tag_id = tags.tag_id
            and target_hours.target_hour - interval '24 hours' <= tag_hours.hour
            and tag_hours.hour < target_hours.target_hour
        offset 0
    ) as hours_of_day
),

days as (
    {{ feature_days() }}
),

-- The tag that reported the most tells how long the machine ran.
machine_days as (
    select
        tags.equipment_id,
        by_tag.hour_number,
        max(by_tag.running_minutes) / 60::double precision as running_hours,
        max(by_tag.available_at) as available_at
    from (
        select
            tag_id,
            hour_number,
            sum(minute_count) as running_minutes,
            max(available_at) as available_at
        from day_hours
        group by tag_id, hour_number
    ) as by_tag
    inner join tags on by_tag.tag_id = tags.tag_id
    group by tags.equipment_id, by_tag.hour_number
)
{%- endmacro %}
