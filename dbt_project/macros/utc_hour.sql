{#- Start of the UTC hour of a timestamptz; zones with half hours cut theirs elsewhere. -#}
{% macro utc_hour(timestamp) -%}
    date_trunc('hour', {{ timestamp }}, 'UTC')
{%- endmacro %}
