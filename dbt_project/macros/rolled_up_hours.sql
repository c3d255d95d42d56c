{#- Minutes of tags by hour and regime. Baselines take only minutes while the machine runs and is not maintained; what starts
    with all_ takes every minute. A row with no running minute keeps a later correction from leaving an old one behind. -#}
{% macro rolled_up_hours(equipment_minutes, tag_minutes) -%}
    select
        tag_minutes.tag_id,
        {{ utc_hour('tag_minutes.minute') }} as hour,
        wanted.regime,
        (count(tag_minutes.value_mean) filter (where wanted.is_running and not wanted.in_maintenance))::integer
            as minute_count,
        sum(tag_minutes.value_mean) filter (where wanted.is_running and not wanted.in_maintenance) as mean_sum,
        sum(tag_minutes.value_mean * tag_minutes.value_mean) filter (
            where wanted.is_running and not wanted.in_maintenance
        ) as mean_sumsq,
        min(tag_minutes.value_min) filter (where wanted.is_running and not wanted.in_maintenance) as value_min,
        max(tag_minutes.value_max) filter (where wanted.is_running and not wanted.in_maintenance) as value_max,
        max(wanted.available_at) as available_at,
        count(*)::integer as minutes_reported,
        {{ central_moments('tag_minutes.value_mean', 'all_') }},
        min(tag_minutes.value_min) as all_min,
        max(tag_minutes.value_max) as all_max,
        sum(tag_minutes.reading_count)::integer as reading_count,
        sum(tag_minutes.bad_count)::integer as bad_count,
        coalesce(sum(tag_minutes.gap_seconds), 0)::real as gap_seconds
    from {{ equipment_minutes }} as wanted
    inner join {{ tag_minutes }} as tag_minutes
        on wanted.equipment_id = tag_minutes.equipment_id and wanted.minute = tag_minutes.minute
    group by tag_minutes.tag_id, {{ utc_hour('tag_minutes.minute') }}, wanted.regime
{%- endmacro %}
