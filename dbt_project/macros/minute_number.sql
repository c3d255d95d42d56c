{#- Whole minutes since 1970: frames over integers cost a fraction of frames over timestamps. -#}
{% macro minute_number(timestamp) -%}
    (date_part('epoch', {{ timestamp }}) / 60)::integer
{%- endmacro %}
