{#- Every feature of a measurement at the targets' minutes, named as `feature_columns()` lists them, from the CTEs windows,
    series, set_points_held and targets of gold_ml_features. -#}
{% macro feature_measures() -%}
    {%- set block = var('windows')[0] -%}
    select
        series.equipment_id,
        series.measurement,
        windows.number,
        {%- for window in var('windows') %}
        {%- set suffix = '' if loop.first else '_' ~ window %}
        {%- set last_mean = 'windows.last_mean' if loop.first else 'windows.block_mean' %}
        {%- set first_mean = 'windows.first_mean' ~ suffix %}
        {%- set minutes = block - 1 if loop.first else window - block %}
        windows.mean_sum{{ suffix }} / nullif(windows.mean_n{{ suffix }}, 0) as mean_{{ window }}m,
        {{ spread('windows.mean_n' ~ suffix, 'windows.mean_sum' ~ suffix, 'windows.mean_sumsq' ~ suffix) }}
            as std_{{ window }}m,
        windows.mean_min{{ suffix }} as min_{{ window }}m,
        windows.mean_max{{ suffix }} as max_{{ window }}m,
        windows.deviation_sum{{ suffix }} / nullif(windows.deviation_n{{ suffix }}, 0) as deviation_{{ window }}m,
        windows.slope{{ suffix }} * 60 as slope_{{ window }}m,
        ({{ last_mean }} - {{ first_mean }}) * 60 / {{ minutes }} as rate_of_change_{{ window }}m,
        ({{ last_mean }} - {{ first_mean }}) * 100 / nullif(abs({{ first_mean }}), 0) as percentage_change_{{ window }}m,
        {%- endfor %}
        case when windows.mean_n_60 > 0 then coalesce(windows.flat_minutes_60, 0) end::smallint as flat_minutes,
        1 - windows.good_count_60::double precision / nullif(windows.reading_count_60, 0) as bad_share_60m,
        1 - windows.tag_minutes_60::double precision / nullif(60 * windows.tag_count_60, 0) as missing_share_60m,
        days.day_mean as mean_24h,
        days.day_std as std_24h,
        days.day_skewness as skewness_24h,
        (windows.block_mean - days.day_mean) / nullif(days.day_std, 0) as z_score_24h,
        set_points_held.set_point,
        set_points_held.available_at as set_point_available_at
    from windows
    inner join series on windows.series_id = series.series_id
    inner join targets on series.equipment_id = targets.equipment_id and windows.number = targets.number
    left join days on windows.series_id = days.series_id and windows.number / 60 = days.hour_number
    left join set_points_held
        on
            series.equipment_id = set_points_held.equipment_id
            and series.measurement = set_points_held.measurement
            and windows.number = set_points_held.number
{%- endmacro %}
