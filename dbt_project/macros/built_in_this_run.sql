{#- True for rows that a model upstream wrote in this run, or a minute since it began, which it may make again. A single run
    at a time writes a table (`hold_minute_tables`). -#}
{% macro built_in_this_run(column='built_xid') -%}
    {{ column }} >= '{{ run_range().until_xmax }}'::xid8
{%- endmacro %}
