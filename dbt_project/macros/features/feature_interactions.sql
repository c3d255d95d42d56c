{#- Products and quotients of two measurements' shortest means, where both are among the measurements. -#}
{% macro feature_interactions() -%}
    {%- set window = var('windows')[0] -%}
    {%- if 'temperature' in var('measurements') and 'vibration' in var('measurements') %}
    temperature_measures.mean_{{ window }}m * vibration_measures.mean_{{ window }}m as temperature_x_vibration,
    {%- endif %}
    {%- if 'power' in var('measurements') and 'speed' in var('measurements') %}
    power_measures.mean_{{ window }}m / nullif(speed_measures.mean_{{ window }}m, 0) as power_per_speed,
    {%- endif %}
{%- endmacro %}
