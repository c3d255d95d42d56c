{#- A run from dbt's own command line begins when none of Millwright's is making the same models, the hourly ones above all:
    two runs that create one table fail. Millwright's own runs hold the lock themselves (`warehouse.transform`); what keeps a
    run from the minute's tables is `hold_minute_tables`. What was made meanwhile is made known to dbt, which has looked for
    what there is before. -#}
{% macro wait_for_other_runs() -%}
    {%- if execute and env_var('MILLWRIGHT_MOMENT', '') == '' -%}
        {%- set alone = "(hashtext('millwright dbt'))" -%}
        {%- do run_query('select pg_advisory_lock' ~ alone) -%}
        {%- do run_query('select pg_advisory_unlock' ~ alone) -%}
        {%- for schema in graph.nodes.values() | map(attribute='schema') | unique -%}
            {%- set within = api.Relation.create(database=target.database, schema=schema) -%}
            {%- for made in list_relations_without_caching(within) -%}
                {%- do adapter.cache_added(api.Relation.create(
                    database=made['database'], schema=made['schema'], identifier=made['name'], type=made['type']
                )) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    select 1 as alone
{%- endmacro %}
