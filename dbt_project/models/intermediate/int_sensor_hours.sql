{{ config(
    tags=['minute'], unique_key=['tag_id', 'hour'],
    indexes=[{'columns': ['tag_id', 'hour', 'regime'], 'unique': true}, {'columns': ['built_xid']}]
) }}

with minutes as (
    select * from {{ ref('int_sensor_minutes') }}
),

equipment_minutes as (
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

wanted as (
    select equipment_minutes.*
    from touched
    inner join equipment_minutes
        on
            touched.equipment_id = equipment_minutes.equipment_id
            and touched.hour <= equipment_minutes.minute
            and equipment_minutes.minute < touched.hour + interval '1 hour'
),
{%- else -%}
wanted as (
    select * from equipment_minutes
),
{%- endif %}

-- Only minutes while the machine runs and is not maintained count; a row with none of them keeps a later correction
-- from leaving an old one behind.
rolled_up as (
    select
        minutes.tag_id,
        date_trunc('hour', minutes.minute) as hour,
        wanted.regime,
        (count(minutes.value_mean) filter (where wanted.is_running and not wanted.in_maintenance))::integer
            as minute_count,
        sum(minutes.value_mean) filter (where wanted.is_running and not wanted.in_maintenance) as mean_sum,
        sum(minutes.value_mean * minutes.value_mean) filter (
            where wanted.is_running and not wanted.in_maintenance
        ) as mean_sumsq,
        min(minutes.value_min) filter (where wanted.is_running and not wanted.in_maintenance) as value_min,
        max(minutes.value_max) filter (where wanted.is_running and not wanted.in_maintenance) as value_max,
        max(minutes.available_at) as available_at
    from wanted
    inner join tags on wanted.equipment_id = tags.equipment_id
    inner join minutes on tags.tag_id = minutes.tag_id and wanted.minute = minutes.minute
    group by minutes.tag_id, date_trunc('hour', minutes.minute), wanted.regime
)

select
    *,
    pg_current_xact_id() as built_xid
from rolled_up
