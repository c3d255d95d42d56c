{#- Whether a minute stands for its gold_stride minutes: one of them, at a place that is hashed, or a plant whose stops begin
    at full ten minutes would be seen at the same age after each. `warehouse.grid` draws on the same minutes, by their ends. -#}
{% macro on_stride(minute) -%}
    {%- set number = '(' ~ minute_number(minute) ~ ' + 1)::bigint' -%}
    {%- set stride = var('gold_stride') -%}
    {{ number }} % {{ stride }} = {{ number }} / {{ stride }} * 2654435761 / 65536 % {{ stride }}
{%- endmacro %}
