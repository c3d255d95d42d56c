{#- The UTC calendar day of a timestamptz: a bucket to join stretches of time by. -#}
{% macro utc_day(timestamp) -%}
    ({{ timestamp }} at time zone 'UTC')::date
{%- endmacro %}
