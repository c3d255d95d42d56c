{#- The CTEs tags, series and set_points of gold_ml_features, from the relation of tags: the tags that become columns, with
    a number for the measurement of a machine, and the tags that say what is wanted of it. -#}
{% macro feature_series(tags) -%}
tags as materialized (
    select
        tags.*,
        min(tag_id) over of_measurement as series_id,
        count(*) over of_measurement as tags_of_measurement
    from {{ tags }} as tags
    where
        role = 'measurement'
        and measurement in (
            {%- for measurement in var('measurements') %}
            '{{ measurement }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )
    window of_measurement as (partition by equipment_id, measurement)
),

series as materialized (
    select distinct
        series_id,
        equipment_id,
        measurement
    from tags
),

-- The set point of throughput is a tag of the measurement throughput_sp, throughput_set_point or throughput itself.
set_points as materialized (
    select
        tag_id,
        equipment_id,
        regexp_replace(measurement, '_(sp|set_?point)$', '') as measurement
    from {{ tags }}
    where role = 'set_point'
)
{%- endmacro %}
