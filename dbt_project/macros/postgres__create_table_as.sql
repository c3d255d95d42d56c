{#- The adapter's own, and for a model with `partition_by` (a timestamptz column) a table partitioned by UTC day. Its
    partitions are made for the days of `int_equipment_minutes`, of which such a model holds no other; with
    `partition_days`, for the last so many only. Written out, for a unit test can't reach the adapter's by its name.

    A partitioned model with `slices` and `of_slice` is one long query, whose common tables no other process can read. It
    is made for some of the machines at a time, by a function that a worker runs whole. The leader makes none: while it
    did, it would take nothing from the workers.

    A table of a test's failures takes the place of the last one whenever that came: another run may have made it since this
    one looked. -#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set contracted = config.get('contract').enforced and not temporary -%}
    {%- set partitioned = contracted and config.get('partition_by') -%}
    {%- if model.resource_type == 'test' %}
    select pg_advisory_xact_lock(hashtext('millwright relation'), hashtext('{{ relation }}'));
    drop table if exists {{ relation }};
    {%- endif %}
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
    {%- set slices = machine_slices(config.get('slices', 0)) if partitioned else [] %}
    {%- if slices | length > 1 %}
    {%- set slice = relation.include(database=false).incorporate(path={'identifier': relation.identifier ~ '_slice'}) %}
    create function {{ slice }}(text []) returns setof {{ relation }}
    language plpgsql stable parallel safe cost 1000000 as $function$ begin
        return query execute $slice$
            {{ get_select_subquery(sql | replace(of_slice(), 'equipment_id = any($1)')) }}
        $slice$ using $1;
    end $function$;
    set local parallel_leader_participation = off;
    create temporary table made_in_slices on commit drop as
    {%- for machines in slices %}
    select * from {{ slice }}({{ machines }})
    {{ 'union all' if not loop.last }}
    {%- endfor %};
    set local parallel_leader_participation = on;
    drop function {{ slice }};
    {%- set sql = 'select * from made_in_slices' %}
    {%- endif %}
    insert into {{ relation }} ({{ adapter.dispatch('get_column_names', 'dbt')() }})
    {{ get_select_subquery(sql) }};
    {%- endif -%}
{%- endmacro %}
