{#- The adapter's own, and for a model with `partition_by` (a timestamptz column) a table partitioned by UTC day. Its
    partitions are made for the days of `int_equipment_minutes`, of which such a model holds no other; with
    `partition_days`, for the last so many only. Written out, for a unit test can't reach the adapter's by its name. -#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set contracted = config.get('contract').enforced and not temporary -%}
    {%- set partitioned = contracted and config.get('partition_by') -%}
    create {{ 'temporary ' if temporary }}table {{ relation }}
    {%- if config.get('contract').enforced %} {{ get_assert_columns_equivalent(sql) }} {%- endif %}
    {%- if not contracted %} as ({{ sql }});
    {%- else %}
    {{ get_table_columns_and_constraints() }}
    {%- if partitioned %} partition by range ({{ config.get('partition_by') }}) {%- endif %};
    {%- if partitioned %}
    select ops.ensure_day_partitions('{{ relation }}', array(
        select distinct ((minute + interval '1 minute') at time zone 'UTC')::date
        from {{ ref('int_equipment_minutes') }}
        {%- if config.get('partition_days') %}
        where minute >= '{{ moment() }}'::timestamptz - interval '{{ config.get("partition_days") }} days'
        {%- endif %}
    ));
    {%- endif %}
    insert into {{ relation }} ({{ adapter.dispatch('get_column_names', 'dbt')() }})
    {{ get_select_subquery(sql) }};
    {%- endif -%}
{%- endmacro %}
