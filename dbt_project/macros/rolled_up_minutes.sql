{#- Readings of `readings`, by tag and minute. Bad readings count and enter nothing else. The good values and texts are
    in their order, which also fixes the order of the sums: what they come to does not depend on the order of arrival. -#}
{% macro rolled_up_minutes(readings) -%}
    select
        tag_id,
        date_trunc('minute', source_ts) as minute,
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
    group by tag_id, date_trunc('minute', source_ts)
{%- endmacro %}
