{#- For a lateral join: a row for every UTC day that a stretch of time touches. Two stretches overlap only on a day that
    both touch; with `first_common_day` each pair is met once, by hash and not by comparing all with all. -#}
{% macro utc_days(starts_at, ends_at) -%}
    generate_series({{ utc_day(starts_at) }}::timestamp, {{ utc_day(ends_at) }}::timestamp, interval '1 day')
{%- endmacro %}
