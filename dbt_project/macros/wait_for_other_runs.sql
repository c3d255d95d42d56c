{#- A run from dbt's own command line begins when none of Millwright's is making the same models, the hourly ones above all:
    two runs that create one table fail. Millwright's own runs hold the lock themselves (`warehouse.transform`). -#}
{% macro wait_for_other_runs() -%}
    {%- if execute and env_var('MILLWRIGHT_MOMENT', '') == '' -%}
        select
            pg_advisory_lock(lock.key),
            pg_advisory_unlock(lock.key)
        from (select hashtext('millwright dbt') as key) as lock
    {%- else -%}
        select 1 as alone
    {%- endif -%}
{%- endmacro %}
