{#- The set points that held at the end of the targets' minutes, a row per equipment, measurement and minute, from the
    CTEs targets, set_points and tag_minutes of gold_ml_features: an index probe each, however long ago one was set. -#}
{% macro feature_set_points() -%}
    select distinct on (targets.equipment_id, set_points.measurement, targets.number)
        targets.equipment_id,
        set_points.measurement,
        targets.number,
        last_report.value_last as set_point,
        last_report.available_at
    from targets
    inner join set_points on targets.equipment_id = set_points.equipment_id
    cross join lateral (
        select
            tag_minutes.minute,
            tag_minutes.value_last,
            tag_minutes.available_at
        from tag_minutes
        where
            tag_minutes.tag_id = set_points.tag_id
            and tag_minutes.minute <= targets.minute
            and tag_minutes.value_last is not null
        order by tag_minutes.minute desc
        limit 1
    ) as last_report
    order by
        targets.equipment_id, set_points.measurement, targets.number, last_report.minute desc, set_points.tag_id desc
{%- endmacro %}
