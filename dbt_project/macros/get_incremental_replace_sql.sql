{#- Incremental strategy `replace`, for a model with `partition_by`: rows with the new ones' keys go, the new ones come. Like
    the adapter's delete+insert, but with the new rows' span as literals, so that partitions of other days aren't
    looked at; partitions that the new rows need are made. -#}
{% macro get_incremental_replace_sql(arg_dict) -%}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set source = arg_dict['temp_relation'] -%}
    {%- set clock = config.get('partition_by') -%}
    {%- set span = run_query(
        "select min(" ~ clock ~ ")::text, max(" ~ clock ~ ")::text,"
        ~ " array_agg(distinct (" ~ clock ~ " at time zone 'UTC')::date)::text from " ~ source
    ).rows[0] -%}
    {%- if span[0] is none -%}
        select 0 as nothing_new
    {%- else -%}
        {%- set partitioned = run_query(
            "select 1 from pg_class where oid = '" ~ target ~ "'::regclass and relkind = 'p'"
        ).rows | length > 0 -%}
        {%- if partitioned -%}
            {%- do run_query("select ops.ensure_day_partitions('" ~ target ~ "', '" ~ span[2] ~ "'::date[])") -%}
        {%- endif -%}
        {#- Keys are looked up by index, whatever a model's pre-hook asked of its query. -#}
        {%- do run_query("set local enable_nestloop = on") %}
        delete from {{ target }} as replaced using {{ source }} as newer
        where
            replaced.{{ clock }} between '{{ span[0] }}'::timestamptz and '{{ span[1] }}'::timestamptz
            {%- for column in arg_dict['unique_key'] %}
            and replaced.{{ column }} = newer.{{ column }}
            {%- endfor %};
        insert into {{ target }} ({{ get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) }})
        select {{ get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) }} from {{ source }}
    {%- endif -%}
{%- endmacro %}
