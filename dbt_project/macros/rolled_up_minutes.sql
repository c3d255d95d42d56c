{#- What int_sensor_minutes is made of, from `readings`, by tag and minute, and the CTE gap_minutes. Bad readings count and enter
    nothing else. The good values and texts are in their order, which also fixes the order of the sums: what they come to
    does not depend on the order of arrival. How long the values held (`held_values` from `held_times`) is told where they
    differ. -#}
{% macro rolled_up_minutes(readings) -%}
    select
        by_minute.tag_id,
        by_minute.minute,
        by_minute.reading_count,
        by_minute.good_count,
        by_minute.value_sum,
        by_minute.value_sumsq,
        by_minute.value_min,
        by_minute.value_max,
        by_minute.good_values[1] as value_first,
        by_minute.good_values[cardinality(by_minute.good_values)] as value_last,
        by_minute.value_mean,
        by_minute.good_texts[cardinality(by_minute.good_texts)] as text_last,
        by_minute.available_at,
        by_minute.reading_count - by_minute.good_count as bad_count,
        case when by_minute.value_min < by_minute.value_max then by_minute.good_values end as held_values,
        case when by_minute.value_min < by_minute.value_max then by_minute.good_times end as held_times,
        coalesce(gap_minutes.gap_seconds, 0) as gap_seconds
    from (
        select
            tag_id,
            {{ utc_minute('source_ts') }} as minute,
            count(*)::integer as reading_count,
            (count(*) filter (where is_good))::integer as good_count,
            sum(value) as value_sum,
            sum(value * value) as value_sumsq,
            min(value) as value_min,
            max(value) as value_max,
            sum(value) / nullif(count(value), 0) as value_mean,
            array_agg(value order by source_ts) filter (where value is not null) as good_values,
            array_agg(source_ts order by source_ts) filter (where value is not null) as good_times,
            array_agg(value_text order by source_ts) filter (where value_text is not null) as good_texts,
            max(available_at) as available_at
        from {{ readings }}
        group by tag_id, {{ utc_minute('source_ts') }}
    ) as by_minute
    left join gap_minutes on by_minute.tag_id = gap_minutes.tag_id and by_minute.minute = gap_minutes.minute
{%- endmacro %}
