{#- Post-hook: statistics for a table that has none yet. Autovacuum comes too late for the models that read it next. And it
    would read all of what was just written again, to note that everyone sees it; that can wait for more. A table of the
    minute, where each run replaces rows, is vacuumed and analyzed after a fiftieth of it, not after a fifth of what only
    grows; one that was made before this was said is told as well. Asked is for statistics themselves: `reltuples` is there once
    the index is made, before this hook, and of rows it says how many and not which. -#}
{% macro analyze_once() -%}
    {%- if execute and this.schema is not none -%}
        {%- set is_hot = 'minute' in model.tags -%}
        {%- set found = run_query(
            "select lacks from pg_class cross join lateral (select not exists ("
            ~ "select from pg_stats where schemaname = '" ~ this.schema ~ "' and tablename = '" ~ this.identifier ~ "'"
            ~ ") as lacks) as statistics"
            ~ " where oid = to_regclass('" ~ this.schema ~ "." ~ this.identifier ~ "') and relkind = 'r' and (lacks"
            ~ (" or 'autovacuum_vacuum_scale_factor=0.02' <> all (coalesce(reloptions, '{}'))" if is_hot else "") ~ ")"
        ) -%}
        {%- if found.rows | length > 0 -%}
        {%- if found.rows[0][0] -%}
        analyze {{ this }};
        {%- endif %}
        alter table {{ this }} set (
            autovacuum_vacuum_insert_threshold = 10000000
            {%- if is_hot %},
            autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02
            {%- endif %}
        )
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
