{%- set update = is_update() -%}
{{ config(
    tags=['minute'], unique_key=['tag_id', 'minute'], full_refresh=false,
    pre_hook=[
        'set local enable_hashagg = off',
        '{{ parallel_slices(whole=false) }}',
        '{{ index_of_news() }}'
    ],
    indexes=[{'columns': ['tag_id', 'minute'], 'unique': true}]
) }}
{%- set landings = ref('stg_sensor_landings') %}
{%- set changes = ref('int_context_changes') %}
{%- set new = touched_readings(landings) if update else none %}
{%- set longest = var('windows') | max %}

with readings as not materialized (
    select * from {{ ref('stg_sensor_events') }}
),

{% if update -%}
touched as materialized (
    select distinct
        tag_id,
        {{ utc_minute('source_ts') }} as minute
    from {{ landings }}
    where
        {{ new.condition }}
        and source_ts >= '{{ new.from_ts }}'::timestamptz
        and source_ts < '{{ new.to_ts }}'::timestamptz
),

{% if new.tag_minutes > 200000 -%}
-- Many keys, such as a backfill's: one pass over their stretch of time.
wanted as (
    select readings.* from readings
    inner join touched
        on readings.tag_id = touched.tag_id and {{ utc_minute('readings.source_ts') }} = touched.minute
    where
        readings.source_ts >= '{{ new.from_ts }}'::timestamptz
        and readings.source_ts < '{{ new.to_ts }}'::timestamptz
),
{%- else -%}
-- Few keys, such as a minute's: an index probe each, fenced, for the newest minute is beyond the planner's statistics.
-- The bounds are literals, so that the other partitions are pruned when the statement is planned.
wanted as (
    select minute_readings.* from touched
    cross join lateral (
        select * from readings
        where
            readings.tag_id = touched.tag_id
            and readings.source_ts >= touched.minute
            and readings.source_ts < touched.minute + interval '1 minute'
            and readings.source_ts >= '{{ new.from_ts }}'::timestamptz
            and readings.source_ts < '{{ new.to_ts }}'::timestamptz
        offset 0
    ) as minute_readings
),
{%- endif %}

-- Minutes in which a gap begins or ends, or did before it was changed.
regapped as materialized (
    select
        tag_id,
        {{ utc_minute('from_ts') }} as minute
    from {{ changes }}
    where tag_id is not null
    union
    select
        tag_id,
        {{ utc_minute("to_ts - interval '" ~ longest ~ " minutes'") }} as minute
    from {{ changes }}
    where tag_id is not null
    except
    select * from touched
),

{% endif -%}
gaps as {{ 'not materialized' if not update }} (
    select * from {{ ref('stg_sensor_gaps') }}
    where
        not is_repaired
        {%- if update %}
        and coalesce(ends_at, 'infinity') >= least(
            (select min(minute) from touched), (select min(minute) from regapped)
        )
        {%- endif %}
),

-- No reading lies inside an unrepaired gap, so it only shows in the minutes of its two ends.
gap_ends as (
    select
        tag_id,
        {{ utc_minute('starts_at') }} as minute,
        least(ends_at, {{ utc_minute('starts_at') }} + interval '1 minute') - starts_at as missing
    from gaps
    union all
    select
        tag_id,
        {{ utc_minute('ends_at') }} as minute,
        ends_at - {{ utc_minute('ends_at') }} as missing
    from gaps
    where {{ utc_minute('ends_at') }} > {{ utc_minute('starts_at') }}
),

gap_minutes as {{ 'not materialized' if not update }} (
    select
        tag_id,
        minute,
        least(date_part('epoch', sum(missing)), 60)::real as gap_seconds
    from gap_ends
    group by tag_id, minute
),

{% if not update -%}
-- Nearly as many groups as readings, which come sorted by tag: sorting on is cheaper than hashing (hence the pre-hook).
-- What can be done in a slice is done there: one process writes what the others make.
{% endif -%}
rolled_up as (
    {%- if update %}
    {{ rolled_up_minutes('wanted') | indent(4) }}
    {%- else %}
    {%- for from_day, to_day in day_slices('select min(day), max(day) from ' ~ ref('stg_sensor_days')) %}
    (
        {{ rolled_up_minutes(
            "(select * from readings where source_ts >= '" ~ from_day ~ "' and source_ts < '" ~ to_day ~ "') as slice"
        ) | indent(8) }}
    )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- endif %}
),

-- A value holds until the next one, the first also back to the start of the minute.
held as (
    select
        tag_id,
        minute,
        reading_count,
        good_count,
        value_sum,
        value_sumsq,
        value_min,
        value_max,
        value_first,
        value_last,
        value_mean,
        text_last,
        available_at,
        bad_count,
        case
            when held_values is null then value_min
            else (
                select
                    sum(
                        held_values[step.nth] * (
                            coalesce(date_part('second', held_times[step.nth + 1]), 60)
                            - case when step.nth > 1 then date_part('second', held_times[step.nth]) else 0 end
                        )
                    ) / 60
                from generate_series(1, cardinality(held_values)) as step (nth)
            )
        end as value_twa,
        gap_seconds
    from rolled_up
    {%- if is_incremental() %}
    -- Less never replaces more: a minute that was made of more readings than raw has keeps what it was made of, for
    -- retention has let the others go. It leaves yesterday and what is younger alone: no minute of now is looked up.
    left join lateral (
        select former.reading_count as former_count from {{ this }} as former
        where
            former.tag_id = rolled_up.tag_id
            and former.minute = rolled_up.minute
            and rolled_up.minute < date_trunc('day', '{{ moment() }}'::timestamptz, 'UTC') - interval '1 day'
        offset 0
    ) as before on true
    where coalesce(before.former_count, 0) <= rolled_up.reading_count
    {%- endif %}
){% if update %},

-- Their readings may be gone from raw; what was rolled up stays. Written though it may be the same: a run that failed left it
-- to this one to make what follows.
kept as (
    select
        minutes.tag_id,
        minutes.minute,
        minutes.reading_count,
        minutes.good_count,
        minutes.value_sum,
        minutes.value_sumsq,
        minutes.value_min,
        minutes.value_max,
        minutes.value_first,
        minutes.value_last,
        minutes.value_mean,
        minutes.text_last,
        minutes.available_at,
        minutes.bad_count,
        minutes.value_twa,
        coalesce(gap_minutes.gap_seconds, 0) as gap_seconds
    from regapped
    cross join lateral (
        select * from {{ this }}
        where tag_id = regapped.tag_id and minute = regapped.minute
        offset 0
    ) as minutes
    left join gap_minutes on minutes.tag_id = gap_minutes.tag_id and minutes.minute = gap_minutes.minute
)
{%- endif %}

select
    *,
    {{ built_xid() }} as built_xid
from held
{% if update -%}
union all
select
    *,
    {{ built_xid() }} as built_xid
from kept
{%- endif %}
