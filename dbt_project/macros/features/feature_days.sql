{#- Statistics of a measurement over the 24 full hours before the targets' own hour (series_id, hour_number), pooled from
    the CTE day_hours of gold_ml_features, rows of int_sensor_hours: moments about the common mean, which cancel nothing.
    A variance below 1e-13 of the mean's square is what rounding leaves of zero. -#}
{% macro feature_days() -%}
    select
        series_id,
        hour_number,
        day_mean,
        case when m2 / n > 1e-13 * day_mean * day_mean then sqrt(m2 / n) else 0.0 end as day_std,
        case when m2 / n > 1e-13 * day_mean * day_mean and m2 / n > 1e-150 then m3 / n / (m2 / n) ^ 1.5 end
            as day_skewness
    from (
        select
            series_id,
            hour_number,
            n,
            day_mean,
            sum(all_m2 + all_count * (all_mean - day_mean) ^ 2) as m2,
            sum(
                all_m3 + 3 * (all_mean - day_mean) * all_m2 + all_count * (all_mean - day_mean) ^ 3
            ) as m3
        from (
            select
                *,
                sum(all_count) over of_day as n,
                sum(all_count * all_mean) over of_day / nullif(sum(all_count) over of_day, 0) as day_mean
            from day_hours
            window of_day as (partition by series_id, hour_number)
        ) as pooled
        where n > 0
        group by series_id, hour_number, n, day_mean
    ) as moments
{%- endmacro %}
