{{ config(
    tags=['minute'], unique_key=['tag_id', 'hour'],
    indexes=[{'columns': ['tag_id', 'hour', 'regime'], 'unique': true}, {'columns': ['built_xid']}]
) }}

with minutes as not materialized (
    select * from {{ ref('int_sensor_minutes') }}
),

equipment_minutes as not materialized (
    select * from {{ ref('int_equipment_minutes') }}
),

tags as (
    select * from {{ ref('stg_tags') }}
    where role = 'measurement'
),

{% if is_update() -%}
touched as materialized (
    select distinct
        equipment_id,
        date_trunc('hour', minute) as hour
    from equipment_minutes
    where {{ built_in_this_run() }}
),

-- Index probes by machine and by tag, fenced: the planner can't know that this run touched few hours.
wanted as materialized (
    select minutes_of_hour.*
    from touched
    cross join lateral (
        select * from equipment_minutes
        where
            equipment_minutes.equipment_id = touched.equipment_id
            and touched.hour <= equipment_minutes.minute
            and equipment_minutes.minute < touched.hour + interval '1 hour'
        offset 0
    ) as minutes_of_hour
),

tag_minutes as materialized (
    select
        touched.equipment_id,
        minutes_of_hour.*
    from touched
    inner join tags on touched.equipment_id = tags.equipment_id
    cross join lateral (
        select * from minutes
        where
            minutes.tag_id = tags.tag_id
            and touched.hour <= minutes.minute
            and minutes.minute < touched.hour + interval '1 hour'
        offset 0
    ) as minutes_of_hour
),
{%- else -%}
wanted as (
    select * from equipment_minutes
),

tag_minutes as (
    select
        tags.equipment_id,
        minutes.*
    from minutes
    inner join tags on minutes.tag_id = tags.tag_id
),
{%- endif %}

-- Baselines take only minutes while the machine runs and is not maintained; what starts with all_ takes every minute.
-- A row with no running minute keeps a later correction from leaving an old one behind.
rolled_up as (
    select
        tag_minutes.tag_id,
        date_trunc('hour', tag_minutes.minute) as hour,
        wanted.regime,
        (count(tag_minutes.value_mean) filter (where wanted.is_running and not wanted.in_maintenance))::integer
            as minute_count,
        sum(tag_minutes.value_mean) filter (where wanted.is_running and not wanted.in_maintenance) as mean_sum,
        sum(tag_minutes.value_mean * tag_minutes.value_mean) filter (
            where wanted.is_running and not wanted.in_maintenance
        ) as mean_sumsq,
        min(tag_minutes.value_min) filter (where wanted.is_running and not wanted.in_maintenance) as value_min,
        max(tag_minutes.value_max) filter (where wanted.is_running and not wanted.in_maintenance) as value_max,
        max(tag_minutes.available_at) as available_at,
        count(*)::integer as minutes_reported,
        {{ central_moments('tag_minutes.value_mean', 'all_') }},
        min(tag_minutes.value_min) as all_min,
        max(tag_minutes.value_max) as all_max,
        sum(tag_minutes.reading_count)::integer as reading_count,
        sum(tag_minutes.bad_count)::integer as bad_count,
        coalesce(sum(tag_minutes.gap_seconds), 0)::real as gap_seconds
    from wanted
    inner join tag_minutes on wanted.equipment_id = tag_minutes.equipment_id and wanted.minute = tag_minutes.minute
    group by tag_minutes.tag_id, date_trunc('hour', tag_minutes.minute), wanted.regime
)

select
    *,
    {{ built_xid() }} as built_xid
from rolled_up
