{#- Hours from the latest maintenance known by a minute's end until then; `history` is int_equipment_history. -#}
{% macro hours_since_service(minute) -%}
    {%- set minute_end = minute ~ " + interval '1 minute'" -%}
    date_part('epoch', {{ minute_end }} - {{ last_service_at(minute_end) }}) / 3600
{%- endmacro %}
