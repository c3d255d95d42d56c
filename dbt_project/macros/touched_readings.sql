{#- What this run's new readings touch: {tag_minutes, from_ts, to_ts, condition}, of the landings that `condition` holds for;
    from and to are whole minutes, tag_minutes the most that it can be. -#}
{% macro touched_readings(landings) -%}
    {%- set condition = new_in_this_run('landed_xid') -%}
    {%- set found = run_query(
        "select least(readings, tags * (date_part('epoch', to_ts - from_ts) / 60))::bigint, from_ts::text, to_ts::text"
        ~ " from (select count(*) as readings, count(distinct tag_id) as tags,"
        ~ " coalesce(" ~ utc_minute('min(source_ts)') ~ ", 'epoch') as from_ts,"
        ~ " coalesce(" ~ utc_minute('max(source_ts)') ~ " + interval '1 minute', 'epoch') as to_ts"
        ~ " from " ~ landings ~ " where " ~ condition ~ ") as touched"
    ).rows[0] -%}
    {{ return({'tag_minutes': found[0] | int, 'from_ts': found[1], 'to_ts': found[2], 'condition': condition}) }}
{%- endmacro %}
