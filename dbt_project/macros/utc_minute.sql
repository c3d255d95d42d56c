{#- Start of the minute of a timestamptz, by integer arithmetic: a roll-up does it for each reading, and date_trunc asks the
    calendar and the time zone. -#}
{% macro utc_minute(timestamp) -%}
    date_bin('1 minute', {{ timestamp }}, 'epoch')
{%- endmacro %}
