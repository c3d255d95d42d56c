{{ config(
    tags=['minute'], unique_key=['tag_id', 'hour'], pre_hook=['{{ parallel_slices() }}'],
    indexes=[{'columns': ['tag_id', 'hour', 'regime'], 'unique': true}, {'columns': ['built_xid']}]
) }}
{%- set update = is_update() %}
{%- set sensor_minutes = ref('int_sensor_minutes') %}
{%- set all_tags = ref('stg_tags') %}

with minutes as not materialized (
    select * from {{ sensor_minutes }}
),

equipment_minutes as not materialized (
    select * from {{ ref('int_equipment_minutes') }}
),

tags as (
    select * from {{ all_tags }}
    where role = 'measurement'
),

{% if update -%}
touched as materialized (
    select distinct
        equipment_id,
        {{ utc_hour('minute') }} as hour
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
wanted as not materialized (
    select * from equipment_minutes
),

tag_minutes as not materialized (
    select
        tags.equipment_id,
        minutes.*
    from minutes
    inner join tags on minutes.tag_id = tags.tag_id
),
{%- endif %}

rolled_up as (
    {%- if update %}
    {{ rolled_up_hours('wanted', 'tag_minutes') | indent(4) }}
    {%- else %}
    {%- for from_day, to_day in day_slices(indexed_days(sensor_minutes, 'minute', all_tags)) %}
    {%- set within = "where minute >= '" ~ from_day ~ "' and minute < '" ~ to_day ~ "'" %}
    (
        {{ rolled_up_hours(
            '(select * from wanted ' ~ within ~ ')', '(select * from tag_minutes ' ~ within ~ ')'
        ) | indent(8) }}
    )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- endif %}
)

select
    *,
    {{ built_xid() }} as built_xid
from rolled_up
