{#- Pre-hook of a model of millions of rows: an index on built_xid, made by the first update. Only updates look for what a run
    wrote, and a first build is waited for. Of two first updates one waits for the other: each would keep the other from
    writing what it had begun to index. -#}
{% macro index_of_news() -%}
    {%- if execute and is_update() -%}
        {%- set found = run_query(
            "select 1 from pg_index inner join pg_attribute on attrelid = indrelid and attnum = indkey[0]"
            ~ " where indrelid = '" ~ this ~ "'::regclass and attname = 'built_xid'"
        ) -%}
        {%- if found.rows | length == 0 -%}
        lock table {{ this }} in share row exclusive mode
        ; create index if not exists {{ this.identifier }}_built_xid on {{ this }} (built_xid)
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
