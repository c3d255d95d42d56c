{{ config(materialized='ephemeral') }}

with gaps as (
    select * from {{ ref('stg_sensor_gaps') }}
),

tags as (
    select * from {{ ref('stg_tags') }}
)

select
    tags.equipment_id,
    tags.tag_id,
    tags.measurement,
    tags.position,
    gaps.starts_at,
    coalesce(gaps.ends_at, 'infinity') as ends_at
from gaps
inner join tags on gaps.tag_id = tags.tag_id
where not gaps.is_repaired and tags.role = 'measurement'
