{#- Minute rows of tags with their distance from the baseline of the regime that the machine was in, at its load, where it
    ran and wasn't maintained (of such minutes are baselines made), and whether the tag looks stuck, from the CTEs readings, wanted and
    baselines_held of gold_ml_features, of the readings that a condition holds for. `number` counts minutes. -#}
{% macro feature_positions(condition) -%}
    select
        readings.series_id,
        readings.equipment_id,
        wanted.number,
        readings.value_mean as mean,
        readings.reading_count,
        readings.good_count,
        (readings.value_mean - {{ normal_at_load('baselines_held', 'wanted.load_ratio') }}) / baselines_held.baseline_std
            as deviation,
        {{ flat('readings.value_min', 'readings.value_max', 'readings.good_count', 'wanted.number', 'by_tag') }}
            as is_flat
    from readings
    inner join wanted on readings.equipment_id = wanted.equipment_id and readings.minute = wanted.minute
    left join baselines_held
        on
            readings.tag_id = baselines_held.tag_id
            and wanted.regime = baselines_held.regime
            and wanted.version_day = baselines_held.version_day
            and wanted.is_running and not wanted.in_maintenance
    where {{ condition }}
    window by_tag as (partition by readings.tag_id order by wanted.number)
{%- endmacro %}
