{#- Minutes of tags by hour and regime. Baselines take only minutes while the machine runs and is not maintained; what starts
    with all_ takes every minute. A row with no running minute keeps a later correction from leaving an old one behind.
    Postgres' regression aggregates share one pass, and cancel nothing (Youngs and Cramer). -#}
{% macro rolled_up_hours(equipment_minutes, tag_minutes) -%}
    {%- set runs = 'wanted.is_running and not wanted.in_maintenance' -%}
    select
        tag_minutes.tag_id,
        {{ utc_hour('tag_minutes.minute') }} as hour,
        wanted.regime,
        (count(tag_minutes.value_mean) filter (where {{ runs }}))::integer as minute_count,
        sum(tag_minutes.value_mean) filter (where {{ runs }}) as mean_sum,
        sum(tag_minutes.value_mean * tag_minutes.value_mean) filter (where {{ runs }}) as mean_sumsq,
        {%- for aggregate, name in {
            'regr_avgx': 'load_mean', 'regr_avgy': 'load_value_mean', 'regr_sxx': 'load_m2', 'regr_sxy': 'load_comoment'
        }.items() %}
        {{ aggregate }}(tag_minutes.value_mean, wanted.load_ratio) filter (where {{ runs }}) as {{ name }},
        {%- endfor %}
        (regr_count(tag_minutes.value_mean, wanted.load_ratio) filter (where {{ runs }}))::integer as load_count,
        min(tag_minutes.value_min) filter (where {{ runs }}) as value_min,
        max(tag_minutes.value_max) filter (where {{ runs }}) as value_max,
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
