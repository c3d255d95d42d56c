{#- True where the columns of the view `existing` are the first ones of `sql`, with the same names and types: what
    `create or replace view` takes. -#}
{% macro view_keeps_columns(existing, sql) -%}
    {%- set probe = existing.incorporate(path={'identifier': existing.identifier ~ '__dbt_probe'}) -%}
    {%- do run_query('drop view if exists ' ~ probe) -%}
    {%- do run_query('create view ' ~ probe ~ ' as (' ~ sql ~ ')') -%}
    {%- set found = run_query(
        "select count(*) from pg_attribute as old left join pg_attribute as new"
        ~ " on new.attrelid = '" ~ probe ~ "'::regclass and old.attnum = new.attnum"
        ~ " and old.attname = new.attname and old.atttypid = new.atttypid and old.atttypmod = new.atttypmod"
        ~ " and old.attcollation = new.attcollation"
        ~ " where old.attrelid = '" ~ existing ~ "'::regclass and old.attnum > 0 and new.attnum is null"
    ) -%}
    {%- do run_query('drop view ' ~ probe) -%}
    {{ return(found.rows[0][0] | int == 0) }}
{%- endmacro %}
