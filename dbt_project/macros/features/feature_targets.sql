{#- The machines' minutes whose features are to be written (equipment_id, minute), from the CTEs equipment_minutes,
    tag_minutes, set_points, baselines, equipment and history of gold_ml_features.

    An update writes every minute whose windows saw readings that this run rolled up. Of what saw only what else this run
    changed, which may reach back for ever, it writes those that there are: what retention has dropped stays away. A build
    that someone waits for writes of the last days every minute or, before the dense ones, one of each stride; and of the
    time before them the hours
    that led up to each failure. -#}
{% macro feature_targets(update, context_changes, held) -%}
    select
        seen_from.equipment_id,
        seen_from.minute
    from (
        {%- if update %}
        {{ feature_minutes_changed() }}
        {%- else %}
        select
            history.equipment_id,
            covered.hour as from_minute,
            covered.hour + interval '59 minutes' as to_minute
        from history
        cross join lateral unnest(history.fault_times) as fault (happened_at)
        cross join lateral generate_series(
            {{ utc_hour("fault.happened_at - interval '" ~ var('event_hours') ~ " hours'") }},
            fault.happened_at,
            interval '1 hour'
        ) as covered (hour)
        {%- endif %}
    ) as stretches
    cross join lateral (
        select
            equipment_minutes.equipment_id,
            equipment_minutes.minute
        from equipment_minutes
        where
            equipment_minutes.equipment_id = stretches.equipment_id
            and stretches.from_minute <= equipment_minutes.minute
            and equipment_minutes.minute <= stretches.to_minute
        offset 0
    ) as seen_from
    union
    {%- if update %}
    select
        written.equipment_id,
        written.minute
    from (
        {{ feature_context_changed(context_changes) }}
    ) as stretches
    cross join lateral (
        select
            equipment_id,
            window_end - interval '1 minute' as minute
        from {{ held }}
        where
            equipment_id = stretches.equipment_id
            and stretches.from_minute + interval '1 minute' <= window_end
            and window_end <= stretches.to_minute + interval '1 minute'
        offset 0
    ) as written
    {%- else %}
    select
        equipment_minutes.equipment_id,
        equipment_minutes.minute
    from equipment_minutes
    where
        equipment_minutes.minute >= '{{ moment() }}'::timestamptz - interval '{{ var("gold_days") }} days'
        and (
            equipment_minutes.minute
            >= '{{ moment() }}'::timestamptz - interval '{{ var("gold_dense_days") }} days'
            or {{ on_stride('equipment_minutes.minute') }}
        )
    {%- endif -%}
{%- endmacro %}
