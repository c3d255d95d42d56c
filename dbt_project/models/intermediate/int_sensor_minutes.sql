{{ config(
    tags=['minute'], unique_key=['tag_id', 'minute'], full_refresh=false,
    pre_hook='set local enable_hashagg = off',
    indexes=[{'columns': ['tag_id', 'minute'], 'unique': true}, {'columns': ['built_xid']}]
) }}
{%- set landings = ref('stg_sensor_landings') %}
{%- set new = touched_readings(landings) if is_update() else none %}

with readings as (
    select * from {{ ref('stg_sensor_events') }}
),

{% if new is none -%}
wanted as (
    select * from readings
),
{%- else -%}
touched as materialized (
    select distinct
        tag_id,
        date_trunc('minute', source_ts) as minute
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
        on readings.tag_id = touched.tag_id and date_trunc('minute', readings.source_ts) = touched.minute
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
{%- endif %}

-- Nearly as many groups as readings, which come sorted by tag: sorting on is cheaper than hashing (hence the pre-hook).
-- Readings come ordered by source_ts, so that a double's sum does not depend on the order of arrival. The first and
-- last value are the least and greatest pair of time and value: an ordered aggregate would sort everything again.
rolled_up as (
    select
        tag_id,
        date_trunc('minute', source_ts) as minute,
        count(*)::integer as reading_count,
        (count(*) filter (where is_good))::integer as good_count,
        sum(value) as value_sum,
        sum(value * value) as value_sumsq,
        min(value) as value_min,
        max(value) as value_max,
        (min(array[date_part('epoch', source_ts), value]) filter (where value is not null))[2] as value_first,
        (max(array[date_part('epoch', source_ts), value]) filter (where value is not null))[2] as value_last,
        avg(value) as value_mean,
        (
            max(array[to_char(source_ts, 'YYYYMMDDHH24MISSUS'), value_text]) filter (where value_text is not null)
        )[2] as text_last,
        max(available_at) as available_at
    from wanted
    group by tag_id, date_trunc('minute', source_ts)
)

select
    *,
    {{ built_xid() }} as built_xid
from rolled_up
