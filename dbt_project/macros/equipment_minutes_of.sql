{#- What the tags of each machine say of a minute, from their minutes in `wanted`. -#}
{% macro equipment_minutes_of(wanted) -%}
    select
        equipment_id,
        minute,
        (count(*) filter (where role = 'measurement'))::integer as tags_reported,
        coalesce(sum(reading_count) filter (where role = 'measurement'), 0)::integer as reading_count,
        coalesce(sum(good_count) filter (where role = 'measurement'), 0)::integer as good_count,
        avg(value_mean) filter (where is_load) / max(rated_load) as load_ratio,
        (count(*) filter (where role = 'measurement' and gap_seconds > 0))::smallint as gap_tags,
        coalesce(sum(gap_seconds) filter (where role = 'measurement'), 0)::real as gap_seconds,
        max(available_at) as available_at
    from {{ wanted }}
    group by equipment_id, minute
{%- endmacro %}
