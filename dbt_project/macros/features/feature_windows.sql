{#- The longer windows from the CTE blocks of gold_ml_features, a row each. Frames are summed anew for each row: the
    result does not depend on which rows were built before. -#}
{% macro feature_windows() -%}
    {%- set block = var('windows')[0] -%}
    {%- set longer = var('windows')[1:] -%}
    select
        *,
        {%- for window in longer %}
        sum(mean_n) over w{{ window }} as mean_n_{{ window }},
        sum(mean_sum) over w{{ window }} as mean_sum_{{ window }},
        sum(mean_sumsq) over w{{ window }} as mean_sumsq_{{ window }},
        min(mean_min) over w{{ window }} as mean_min_{{ window }},
        max(mean_max) over w{{ window }} as mean_max_{{ window }},
        sum(deviation_n) over w{{ window }} as deviation_n_{{ window }},
        sum(deviation_sum) over w{{ window }} as deviation_sum_{{ window }},
        regr_slope(block_mean, number) over w{{ window }} as slope_{{ window }},
        case
            when first_value(number) over w{{ window }} = number - {{ window - block }}
                then first_value(block_mean) over w{{ window }}
        end as first_mean_{{ window }},
        {%- endfor %}
        sum(flat_minutes) over w60 as flat_minutes_60,
        sum(reading_count) over w60 as reading_count_60,
        sum(good_count) over w60 as good_count_60,
        sum(tag_minutes) over w60 as tag_minutes_60,
        max(tag_count) over w60 as tag_count_60
    from blocks
    window
        {%- for window in longer %}
        w{{ window }} as (
            partition by series_id, phase
            order by number range between {{ window - block }} preceding and current row
        ){{ ',' if not loop.last }}
        {%- endfor %}
{%- endmacro %}
