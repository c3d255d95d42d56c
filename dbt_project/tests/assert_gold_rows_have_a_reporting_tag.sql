-- Why: a window that ends in a minute in which nothing reported would be scored on what the machine did before it fell
-- silent. The last two days stand for all: rows are written once and by the same statement.
with gold as (
    select * from {{ ref('gold_ml_features') }}
    where window_end > '{{ moment() }}'::timestamptz - interval '2 days'
)

select
    gold.equipment_id,
    gold.window_end
from gold
where not exists (
    select 1
    from {{ ref('stg_tags') }} as tags
    inner join {{ ref('int_sensor_minutes') }} as minutes on tags.tag_id = minutes.tag_id
    where
        tags.equipment_id = gold.equipment_id
        and minutes.minute = gold.window_end - interval '1 minute'
)
