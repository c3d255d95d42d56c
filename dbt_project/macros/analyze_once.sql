{#- Post-hook: statistics for a table that has none yet. Autovacuum comes too late for the models that read it next. And it
    would read all of what was just written again, to note that everyone sees it; that can wait for more. -#}
{% macro analyze_once() -%}
    {%- if execute and this.schema is not none -%}
        {%- set found = run_query(
            "select 1 from pg_class where oid = to_regclass('" ~ this.schema ~ "." ~ this.identifier
            ~ "') and reltuples < 0 and relkind = 'r'"
        ) -%}
        {%- if found.rows | length > 0 -%}
        analyze {{ this }}
        ; alter table {{ this }} set (autovacuum_vacuum_insert_threshold = 10000000)
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
