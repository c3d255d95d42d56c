{#- Operating regime: the load band 0 (< 0.25 of rated load) to 4 (>= 1.0); 2 where the load is not known. -#}
{% macro regime(load_ratio) -%}
    coalesce(width_bucket({{ load_ratio }}, array[0.25, 0.5, 0.75, 1.0]::double precision []), 2)::smallint
{%- endmacro %}
