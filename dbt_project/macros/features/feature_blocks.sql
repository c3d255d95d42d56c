{#- The shortest window from minutes, for each measurement and each minute `number` that ends a block of one of the
    targets' windows, from the CTEs measured, targets, phases and series of gold_ml_features. A minute that is a target has a
    row even if nothing was measured in its block.

    A block of the same phase (number % length) is what the longer windows are made of, so that 60 minutes cost 12
    steps and not 60. -#}
{% macro feature_blocks() -%}
    {%- set block = var('windows')[0] -%}
    select
        series_id,
        phase,
        block_end as number,
        count(mean) as mean_n,
        sum(mean) as mean_sum,
        sum(mean * mean) as mean_sumsq,
        sum(mean) / nullif(count(mean), 0) as block_mean,
        min(mean_min) as mean_min,
        max(mean_max) as mean_max,
        count(deviation) as deviation_n,
        sum(deviation) as deviation_sum,
        max(mean) filter (where number = block_end - {{ block - 1 }}) as first_mean,
        max(mean) filter (where number = block_end) as last_mean,
        regr_slope(mean, number) as slope,
        sum(is_flat) as flat_minutes,
        sum(reading_count) as reading_count,
        sum(good_count) as good_count,
        sum(tag_count) as tag_minutes,
        max(tag_count) as tag_count
    from (
        select
            measured.series_id,
            measured.number,
            measured.mean,
            measured.mean_min,
            measured.mean_max,
            measured.deviation,
            measured.is_flat,
            measured.reading_count,
            measured.good_count,
            measured.tag_count,
            phases.phase,
            {{ block_end('measured.number', 'phases.phase') }} as block_end
        from measured
        inner join phases
            on measured.equipment_id = phases.equipment_id and measured.number / 60 = phases.hour_number
        union all
        select
            series.series_id,
            null as number,
            null as mean,
            null as mean_min,
            null as mean_max,
            null as deviation,
            null as is_flat,
            null as reading_count,
            null as good_count,
            null as tag_count,
            targets.number % {{ block }} as phase,
            targets.number as block_end
        from targets
        inner join series on targets.equipment_id = series.equipment_id
    ) as minutes_of_blocks
    group by series_id, phase, block_end
{%- endmacro %}
