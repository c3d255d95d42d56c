{#- What this run's new readings touch: {count, from_ts, to_ts, condition}, of the landings that `condition` holds for;
    from and to are whole minutes. -#}
{% macro touched_readings(landings) -%}
    {%- set condition = new_in_this_run('landed_xid') -%}
    {%- set found = run_query(
        "select count(*), coalesce(date_trunc('minute', min(source_ts)), 'epoch')::text,"
        ~ " coalesce(date_trunc('minute', max(source_ts)) + interval '1 minute', 'epoch')::text"
        ~ " from " ~ landings ~ " where " ~ condition
    ).rows[0] -%}
    {{ return({'count': found[0] | int, 'from_ts': found[1], 'to_ts': found[2], 'condition': condition}) }}
{%- endmacro %}
