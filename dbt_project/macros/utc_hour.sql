{#- Start of the UTC hour of a timestamptz; zones with half hours cut theirs elsewhere. See utc_minute. -#}
{% macro utc_hour(timestamp) -%}
    date_bin('1 hour', {{ timestamp }}, 'epoch')
{%- endmacro %}
