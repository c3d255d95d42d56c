{#- What this run's new readings touch: {count, from_ts, to_ts, condition}. The condition holds for landings that the
    run's snapshot sees and the last one did not; comparing with the last one's xmin lets an index find them. -#}
{% macro touched_readings(landings) -%}
    {%- set range = run_range() -%}
    {%- set condition -%}
        landed_xid >= '{{ range.since_xmin }}'::xid8
        and not pg_visible_in_snapshot(landed_xid, '{{ range.since }}'::pg_snapshot)
        and pg_visible_in_snapshot(landed_xid, '{{ range.until }}'::pg_snapshot)
    {%- endset -%}
    {%- set found = run_query(
        "select count(*), coalesce(date_trunc('minute', min(source_ts)), 'epoch')::text,"
        ~ " coalesce(date_trunc('minute', max(source_ts)) + interval '1 minute', 'epoch')::text"
        ~ " from " ~ landings ~ " where " ~ condition
    ).rows[0] -%}
    {{ return({'count': found[0] | int, 'from_ts': found[1], 'to_ts': found[2], 'condition': condition}) }}
{%- endmacro %}
