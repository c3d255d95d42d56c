{{ config(
    tags=['minute'], unique_key=['equipment_id', 'minute'], pre_hook=['{{ parallel_slices() }}', '{{ index_of_news() }}'],
    indexes=[{'columns': ['equipment_id', 'minute'], 'unique': true}]
) }}
{%- set update = is_update() %}
{%- set start_phase = "interval '" ~ var('start_phases')[-1] ~ " minutes'" %}
{%- set minutes_since_start -%}
case when states.run_state = 'running' then extract(epoch from measured.minute - states.started_minute) / 60 end
{%- endset %}
{%- set tag_minutes = ref('int_sensor_minutes') %}
{%- set changes = ref('int_context_changes') %}
{%- if update %}
{%- set first_minute = '(select min(minute) from touched)' %}
{%- set last_minute = "coalesce((select max(minute) from touched), '-infinity')" %}
{%- else %}
{%- set slices = day_slices(indexed_days(tag_minutes, 'minute', ref('stg_tags'))) %}
{%- set first_minute = "'" ~ slices[0][0] ~ "'::timestamptz" %}
{%- set last_minute = "'" ~ slices[-1][1] ~ "'::timestamptz" %}
{%- endif %}

with minutes as not materialized (
    select * from {{ tag_minutes }}
),

tags as not materialized (
    select
        tags.*,
        equipment.rated_load,
        coalesce(tags.role = 'measurement' and tags.measurement = equipment.load_measurement, false) as is_load
    from {{ ref('stg_tags') }} as tags
    inner join {{ ref('stg_equipment') }} as equipment on tags.equipment_id = equipment.equipment_id
    where tags.role <> 'counter'
),

maintenance as (
    select
        equipment_id,
        started_at as starts_at,
        coalesce(completed_at, 'infinity') as ends_at,
        available_at
    from {{ ref('stg_cmms_work_orders') }}
    where started_at is not null
    union all
    select
        equipment_id,
        starts_at,
        ends_at,
        available_at
    from {{ ref('stg_mes_schedules') }}
    where planned_state = 'maintenance'
),

{% if update -%}
touched_tags as materialized (
    select
        tags.equipment_id,
        tags.role,
        minutes.minute
    from minutes
    inner join tags on minutes.tag_id = tags.tag_id
    where {{ built_in_this_run('minutes.built_xid') }}
),

-- A state holds until the next one, and a start counts for as long as its phases: a late state touches every minute up
-- to there. So do work orders and schedules that came or changed.
touched as materialized (
    select
        equipment_id,
        minute
    from touched_tags
    union
    select
        carried.equipment_id,
        carried.minute
    from touched_tags
    left join lateral (
        select min(next_report.minute) + {{ start_phase }} as minute
        from tags
        cross join lateral (
            select minutes.minute from minutes
            where
                minutes.tag_id = tags.tag_id and minutes.minute > touched_tags.minute
                and minutes.text_last is not null
            order by minutes.minute
            limit 1
        ) as next_report
        where tags.equipment_id = touched_tags.equipment_id and tags.role = 'state'
    ) as later on true
    cross join lateral (
        select
            held.equipment_id,
            held.minute
        from {{ this }} as held
        where
            held.equipment_id = touched_tags.equipment_id
            and held.minute > touched_tags.minute
            and held.minute < coalesce(later.minute, 'infinity')
        offset 0
    ) as carried
    where touched_tags.role = 'state'
    union
    select
        covered.equipment_id,
        covered.minute
    from {{ changes }} as changes
    cross join lateral (
        select
            equipment_id,
            minute
        from {{ this }}
        where
            equipment_id = changes.equipment_id
            and minute >= {{ utc_minute('changes.from_ts') }}
            and minute < changes.covers_to
        offset 0
    ) as covered
    where changes.kind in ('cmms_work_orders', 'mes_schedules')
),

wanted as materialized (
    select
        tags.equipment_id,
        tags.role,
        tags.is_load,
        tags.rated_load,
        minutes.minute,
        minutes.reading_count,
        minutes.good_count,
        minutes.value_mean,
        minutes.gap_seconds,
        minutes.available_at
    from touched
    inner join tags on touched.equipment_id = tags.equipment_id
    cross join lateral (
        select * from minutes as probed
        where probed.tag_id = tags.tag_id and probed.minute = touched.minute
        offset 0
    ) as minutes
),

-- The states of the start phases before a minute, and the last one up to there: an index probe per state tag, however
-- long ago it was.
reported_states as materialized (
    select distinct on (touched.equipment_id, touched.minute, reports.minute)
        touched.equipment_id,
        touched.minute,
        reports.minute as reported_minute,
        coalesce(tags.states ->> reports.text_last, lower(reports.text_last)) as run_state,
        reports.available_at
    from touched
    inner join tags on touched.equipment_id = tags.equipment_id
    cross join lateral (
        select
            minutes.minute,
            minutes.text_last,
            minutes.available_at
        from minutes
        where
            minutes.tag_id = tags.tag_id and minutes.minute > touched.minute - {{ start_phase }}
            and minutes.minute <= touched.minute and minutes.text_last is not null
        union all
        (
            select
                minutes.minute,
                minutes.text_last,
                minutes.available_at
            from minutes
            where
                minutes.tag_id = tags.tag_id and minutes.minute <= touched.minute - {{ start_phase }}
                and minutes.text_last is not null
            order by minutes.minute desc
            limit 1
        )
    ) as reports
    where tags.role = 'state'
    order by touched.equipment_id, touched.minute, reports.minute, tags.tag_id desc
),

ordered_states as (
    select
        *,
        run_state = 'running' and lag(run_state) over by_minute <> 'running' as is_start,
        greatest(available_at, lag(available_at) over by_minute) as start_available_at
    from reported_states
    window by_minute as (partition by equipment_id, minute order by reported_minute)
),

states as (
    select
        equipment_id,
        minute,
        (array_agg(run_state order by reported_minute desc))[1] as run_state,
        (array_agg(available_at order by reported_minute desc))[1] as available_at,
        max(reported_minute) filter (where is_start) as started_minute,
        (array_agg(start_available_at order by reported_minute desc) filter (where is_start))[1] as start_available_at,
        (
            array_agg(available_at order by reported_minute desc)
            filter (where reported_minute <= minute - {{ start_phase }})
        )[1] as before_available_at
    from ordered_states
    group by equipment_id, minute
),
{%- else -%}
wanted as not materialized (
    select
        tags.equipment_id,
        tags.role,
        tags.is_load,
        tags.rated_load,
        minutes.minute,
        minutes.reading_count,
        minutes.good_count,
        minutes.value_mean,
        minutes.gap_seconds,
        minutes.available_at
    from minutes
    inner join tags on minutes.tag_id = tags.tag_id
),

state_minutes as (
    select
        tags.equipment_id,
        tags.tag_id,
        minutes.minute,
        coalesce(tags.states ->> minutes.text_last, lower(minutes.text_last)) as run_state,
        minutes.available_at
    from tags
    cross join lateral (
        select
            reported.minute,
            reported.text_last,
            reported.available_at
        from minutes as reported
        where reported.tag_id = tags.tag_id and reported.text_last is not null
        offset 0
    ) as minutes
    where tags.role = 'state'
),

reported_states as (
    select distinct on (equipment_id, minute) *
    from state_minutes
    order by equipment_id, minute, tag_id desc
),

ordered_states as (
    select
        *,
        run_state = 'running' and lag(run_state) over by_minute <> 'running' as is_start,
        greatest(available_at, lag(available_at) over by_minute) as start_available_at,
        lead(minute) over by_minute - interval '1 minute' as last_minute
    from reported_states
    window by_minute as (partition by equipment_id order by minute)
),

started_states as (
    select
        *,
        max(minute) filter (where is_start) over (partition by equipment_id order by minute) as started_minute
    from ordered_states
),

stretches as materialized (
    select
        equipment_id,
        run_state,
        available_at,
        started_minute,
        first_value(start_available_at) over (partition by equipment_id, started_minute order by minute)
            as start_available_at,
        minute as first_minute,
        last_minute
    from started_states
),

-- A state holds until the next one. Stretches written out by the minute join by equality.
states_held as (
    select
        stretches.*,
        covered.minute
    from stretches
    cross join lateral generate_series(
        stretches.first_minute,
        least(stretches.last_minute, {{ last_minute }}),
        interval '1 minute'
    ) as covered (minute)
),

states_before as (
    select
        stretches.equipment_id,
        stretches.available_at,
        covered.minute
    from stretches
    cross join lateral generate_series(
        stretches.first_minute + {{ start_phase }},
        least(stretches.last_minute + {{ start_phase }}, {{ last_minute }}),
        interval '1 minute'
    ) as covered (minute)
),

states as (
    select
        states_held.*,
        states_before.available_at as before_available_at
    from states_held
    left join states_before
        on states_held.equipment_id = states_before.equipment_id and states_held.minute = states_before.minute
),
{%- endif %}

-- Planned apart in a first build: beside the joins below, whose rows it takes for a hundred times as many, the planner
-- sees nothing to gain from a second core.
measured as {{ 'materialized' if not update }} (
    {%- if update %}
    {{ equipment_minutes_of('wanted') | indent(4) }}
    {%- else %}
    {%- for from_day, to_day in slices %}
    (
        {{ equipment_minutes_of(
            "(select * from wanted where minute >= '" ~ from_day ~ "' and minute < '" ~ to_day ~ "') as slice"
        ) | indent(8) }}
    )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- endif %}
),

-- Few stretches, cut to the minutes at hand, so that the join below is one of equals.
maintenance_minutes as (
    select
        maintenance.equipment_id,
        covered.minute,
        max(maintenance.available_at) as available_at
    from maintenance
    cross join lateral generate_series(
        greatest({{ utc_minute('maintenance.starts_at') }}, {{ first_minute }}),
        least(maintenance.ends_at - interval '1 microsecond', {{ last_minute }}),
        interval '1 minute'
    ) as covered (minute)
    group by maintenance.equipment_id, covered.minute
)

select
    measured.equipment_id,
    measured.minute,
    states.run_state,
    coalesce(states.run_state, 'running') = 'running'
    and coalesce(measured.minute >= states.started_minute + interval '{{ var('run_up_minutes') }} minutes', true)
        as is_running,
    maintenance_minutes.minute is not null or coalesce(states.run_state = 'maintenance', false) as in_maintenance,
    measured.load_ratio,
    {{ regime('measured.load_ratio', minutes_since_start) }} as regime,
    measured.tags_reported,
    measured.reading_count,
    measured.good_count,
    greatest(
        measured.available_at,
        states.available_at,
        case
            when states.run_state <> 'running' then null
            when states.started_minute > measured.minute - {{ start_phase }} then states.start_available_at
            else states.before_available_at
        end,
        maintenance_minutes.available_at
    ) as available_at,
    measured.gap_tags,
    measured.gap_seconds,
    {{ built_xid() }} as built_xid
from measured
left join states on measured.equipment_id = states.equipment_id and measured.minute = states.minute
left join maintenance_minutes
    on measured.equipment_id = maintenance_minutes.equipment_id and measured.minute = maintenance_minutes.minute
