{#- One row per measurement of a machine (series_id) and minute of gold_ml_features. Where there is one tag
    nothing has to be combined, which spares the most of the work; of several positions the farthest from its baseline
    counts, and each may be the stuck one. -#}
{% macro feature_measured() -%}
    select
        series_id,
        equipment_id,
        number,
        mean,
        mean as mean_min,
        mean as mean_max,
        deviation,
        is_flat,
        reading_count,
        good_count,
        1 as tag_count
    from (
        {{ feature_positions('readings.tags_of_measurement = 1') }}
    ) as single_tags
    union all
    select
        series_id,
        equipment_id,
        number,
        avg(mean) as mean,
        min(mean) as mean_min,
        max(mean) as mean_max,
        case when max(deviation) >= -min(deviation) then max(deviation) else min(deviation) end as deviation,
        max(is_flat) as is_flat,
        sum(reading_count)::integer as reading_count,
        sum(good_count)::integer as good_count,
        count(*)::integer as tag_count
    from (
        {{ feature_positions('readings.tags_of_measurement > 1') }}
    ) as positions
    group by series_id, equipment_id, number
{%- endmacro %}
