{#- Pre-hook. A build of everything joins millions of rows, which the planner can't foresee through the small plant
    tables (ingest owns them, and they are analyzed late or never): hash joins only, in the order in which they are
    written, and memory for them. -#}
{% macro session_settings() -%}
    set local work_mem = '256MB'
    {%- if execute and not is_update() -%}
    ; set local enable_nestloop = off; set local enable_mergejoin = off
    ; set local join_collapse_limit = 1; set local from_collapse_limit = 1
    {%- endif -%}
{%- endmacro %}
