{#- The number of the minute that ends the block of a phase (number % length) which a minute lies in. -#}
{% macro block_end(number, phase) -%}
    {%- set block = var('windows')[0] -%}
    {{ number }} + ({{ phase }} - {{ number }} % {{ block }} + {{ block }}) % {{ block }}
{%- endmacro %}
