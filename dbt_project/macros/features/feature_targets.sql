{#- The machines' minutes whose features are to be written (equipment_id, minute), from the CTEs equipment_minutes,
    tag_minutes, set_points, baselines, equipment and history of gold_ml_features.

    An update writes every minute whose windows saw what this run changed. A build that someone waits for writes of the
    last days every minute or, before the dense ones, the last of each stride; and of the time before them the hours
    that led up to each failure. -#}
{% macro feature_targets(update, context_changes) -%}
    {%- if update -%}
    select distinct
        seen_from.equipment_id,
        seen_from.minute
    from (
        {{ feature_changes(context_changes) }}
    ) as changed
    cross join lateral (
        select
            equipment_minutes.equipment_id,
            equipment_minutes.minute
        from equipment_minutes
        where
            equipment_minutes.equipment_id = changed.equipment_id
            and changed.from_minute <= equipment_minutes.minute
            and equipment_minutes.minute <= changed.to_minute
        offset 0
    ) as seen_from
    {%- else -%}
    select
        equipment_minutes.equipment_id,
        equipment_minutes.minute
    from equipment_minutes
    where
        equipment_minutes.minute >= '{{ moment() }}'::timestamptz - interval '{{ var("gold_days") }} days'
        and (
            equipment_minutes.minute
            >= '{{ moment() }}'::timestamptz - interval '{{ var("gold_dense_days") }} days'
            or {{ minute_number('equipment_minutes.minute') }} % {{ var('gold_stride') }}
            = {{ var('gold_stride') - 1 }}
        )
    union
    select
        led_up.equipment_id,
        led_up.minute
    from (
        select distinct
            history.equipment_id,
            covered.hour
        from history
        cross join lateral unnest(history.fault_times) as fault (happened_at)
        cross join lateral generate_series(
            {{ utc_hour("fault.happened_at - interval '" ~ var('event_hours') ~ " hours'") }},
            fault.happened_at,
            interval '1 hour'
        ) as covered (hour)
    ) as hours
    cross join lateral (
        select
            equipment_minutes.equipment_id,
            equipment_minutes.minute
        from equipment_minutes
        where
            equipment_minutes.equipment_id = hours.equipment_id
            and hours.hour <= equipment_minutes.minute
            and equipment_minutes.minute < hours.hour + interval '1 hour'
        offset 0
    ) as led_up
    {%- endif -%}
{%- endmacro %}
