{#- Stretches of minutes (equipment_id, from_minute, to_minute, inclusive) whose features may see readings that this run
    rolled up. A minute is seen by the windows that end in the hour after it, and by one more: whether the next minute is
    flat depends on it; and by the 24-hour statistics of the 24 hours after its own. -#}
{% macro feature_minutes_changed() -%}
    select
        equipment_id,
        minute as from_minute,
        minute + interval '60 minutes' as to_minute
    from equipment_minutes
    where {{ built_in_this_run('built_xid') }}
    union
    select
        equipment_id,
        {{ utc_hour('minute') }} + interval '1 hour' as from_minute,
        {{ utc_hour('minute') }} + interval '1499 minutes' as to_minute
    from equipment_minutes
    where {{ built_in_this_run('built_xid') }}
{%- endmacro %}
