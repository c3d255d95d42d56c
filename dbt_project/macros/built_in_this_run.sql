{#- True for rows that a model upstream wrote in this run. A single run at a time writes these tables. -#}
{% macro built_in_this_run(column='built_xid') -%}
    {{ column }} >= '{{ run_range().until_xmax }}'::xid8
{%- endmacro %}
