{#- Stretches of minutes (equipment_id, from_minute, to_minute, inclusive) whose features may see what else this run
    changed. A set point holds until the next one. Baselines that a backfill brought are seen by the plant day after
    theirs; what enterprise systems tell, and the ledger of gaps, by what int_context_changes says. -#}
{% macro feature_context_changed(context_changes) -%}
    select
        set_points.equipment_id,
        tag_minutes.minute as from_minute,
        coalesce((
            select min(later.minute) from tag_minutes as later
            where
                later.tag_id = set_points.tag_id
                and later.minute > tag_minutes.minute
                and later.value_last is not null
        ), 'infinity') as to_minute
    from tag_minutes
    inner join set_points on tag_minutes.tag_id = set_points.tag_id
    where {{ built_in_this_run('tag_minutes.built_xid') }}
    union
    select
        baselines.equipment_id,
        (baselines.version_day + 1)::timestamp at time zone equipment.time_zone as from_minute,
        ((baselines.version_day + 2)::timestamp at time zone equipment.time_zone) + interval '59 minutes' as to_minute
    from baselines
    inner join equipment on baselines.equipment_id = equipment.equipment_id
    where {{ baselines_to_follow('baselines.built_xid') }}
    union
    select
        equipment_id,
        from_ts - interval '1 minute' as from_minute,
        to_ts as to_minute
    from {{ context_changes }}
    where
        kind in (
            'cmms_work_orders', 'cmms_maintenance', 'cmms_failures', 'cmms_errors', 'sap_equipment', 'sensor_gaps'
        )
{%- endmacro %}
