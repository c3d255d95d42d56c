{#- `part` of `whole` as a double, NULL where there is no whole. -#}
{% macro share(part, whole) -%}
    ({{ part }})::double precision / nullif({{ whole }}, 0)
{%- endmacro %}
