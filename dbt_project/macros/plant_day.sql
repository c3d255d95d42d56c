{#- The plant's calendar day of a timestamptz; `zone` is a column or literal with a name of the time-zone database. -#}
{% macro plant_day(timestamp, zone) -%}
    ({{ timestamp }} at time zone {{ zone }})::date
{%- endmacro %}
