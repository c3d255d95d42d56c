{#- Minute rows of tags with their distance from the baseline of the regime that the machine was in, and whether the tag
    looks stuck, from the CTEs reach, wanted, tags, tag_minutes and baselines of gold_ml_features. `number` counts minutes. -#}
{% macro feature_positions() -%}
    select
        readings.equipment_id,
        readings.measurement,
        readings.tags_of_measurement,
        wanted.number,
        readings.value_mean as mean,
        readings.reading_count,
        readings.good_count,
        (readings.value_mean - baselines.baseline_mean) / baselines.baseline_std as deviation,
        {{ flat('readings.value_min', 'readings.value_max', 'readings.good_count', 'wanted.number', 'by_tag') }}
            as is_flat
    from (
        select
            tags.equipment_id,
            tags.measurement,
            tags.position,
            tags.tags_of_measurement,
            minutes_of_hour.*
        from reach
        inner join tags on reach.equipment_id = tags.equipment_id
        cross join lateral (
            select * from tag_minutes
            where
                tag_minutes.tag_id = tags.tag_id
                and reach.from_minute <= tag_minutes.minute
                and tag_minutes.minute <= reach.to_minute
            offset 0
        ) as minutes_of_hour
    ) as readings
    inner join wanted on readings.equipment_id = wanted.equipment_id and readings.minute = wanted.minute
    left join baselines
        on
            readings.equipment_id = baselines.equipment_id
            and readings.measurement = baselines.measurement
            and readings.position = baselines.position
            and wanted.regime = baselines.regime
            and wanted.version_day = baselines.version_day
    window by_tag as (partition by readings.tag_id order by wanted.number)
{%- endmacro %}
