{#- What marks a row as written by this run, for `built_in_this_run`: the first transaction that the run's snapshot
    could not see. A literal, for pg_current_xact_id() would keep a first build from using both cores. -#}
{% macro built_xid() -%}
    '{{ run_range().until_xmax }}'::xid8
{%- endmacro %}
