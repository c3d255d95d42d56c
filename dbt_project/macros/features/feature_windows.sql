{#- The longer windows from the CTE blocks of gold_ml_features, a row for each block that ends at a target at least. Frames
    are summed anew for each row: the result does not depend on which rows were built before. An update has few targets,
    one in twelve of the blocks: their frames alone are summed. In a first build most blocks end at one. -#}
{% macro feature_windows(update) -%}
    {%- set block = var('windows')[0] -%}
    {%- set longer = var('windows')[1:] -%}
    {%- set statistics = {
        'mean_n': 'sum(mean_n)',
        'mean_sum': 'sum(mean_sum)',
        'mean_sumsq': 'sum(mean_sumsq)',
        'mean_min': 'min(mean_min)',
        'mean_max': 'max(mean_max)',
        'deviation_n': 'sum(deviation_n)',
        'deviation_sum': 'sum(deviation_sum)',
        'slope': 'regr_slope(block_mean, number)'
    } -%}
    {%- set completeness = {
        'flat_minutes': 'sum(flat_minutes)',
        'reading_count': 'sum(reading_count)',
        'good_count': 'sum(good_count)',
        'tag_minutes': 'sum(tag_minutes)',
        'tag_count': 'max(tag_count)'
    } -%}
    {%- if update -%}
    select
        blocks.*,
        {%- for window in longer %}
        {%- for name in statistics %}
        longer.{{ name }}_{{ window }},
        {%- endfor %}
        longer.first_mean_{{ window }},
        {%- endfor %}
        {%- for name in completeness %}
        longer.{{ name }}_60{{ ',' if not loop.last }}
        {%- endfor %}
    from blocks
    inner join (
        select
            series_id,
            target_number,
            {%- for window in longer %}
            {%- for name, statistic in statistics.items() %}
            {{ statistic }} filter (where number > target_number - {{ window }}) as {{ name }}_{{ window }},
            {%- endfor %}
            max(block_mean) filter (where number = target_number - {{ window - block }}) as first_mean_{{ window }},
            {%- endfor %}
            {%- for name, statistic in completeness.items() %}
            {{ statistic }} as {{ name }}_60{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            select
                blocks.*,
                earlier.target_number
            from (
                select
                    series.series_id,
                    steps.number,
                    steps.target_number
                from ({{ steps_to_targets(block) }}) as steps
                inner join series on steps.equipment_id = series.equipment_id
                -- Fenced: many machines' blocks end at one minute, and the planner would join by it alone.
                offset 0
            ) as earlier
            inner join blocks on earlier.series_id = blocks.series_id and earlier.number = blocks.number
        ) as blocks_of_target
        group by series_id, target_number
    ) as longer on blocks.series_id = longer.series_id and blocks.number = longer.target_number
    offset 0
    {%- else -%}
    select
        *,
        {%- for window in longer %}
        {%- for name, statistic in statistics.items() %}
        {{ statistic }} over w{{ window }} as {{ name }}_{{ window }},
        {%- endfor %}
        case
            when first_value(number) over w{{ window }} = number - {{ window - block }}
                then first_value(block_mean) over w{{ window }}
        end as first_mean_{{ window }},
        {%- endfor %}
        {%- for name, statistic in completeness.items() %}
        {{ statistic }} over w60 as {{ name }}_60{{ ',' if not loop.last }}
        {%- endfor %}
    from blocks
    window
        {%- for window in longer %}
        w{{ window }} as (
            partition by series_id, phase
            order by number range between {{ window - block }} preceding and current row
        ){{ ',' if not loop.last }}
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}
