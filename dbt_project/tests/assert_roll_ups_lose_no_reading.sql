-- Why: nothing is lost silently. Every reading that the watermark has seen is in the roll-up of its minute, once: a
-- reading that a run skipped would never be looked at again. The last two hours stand for all.
{{ config(store_failures=true) }}

with landed as (
    select
        events.tag_id,
        date_trunc('minute', events.source_ts) as minute,
        count(*) as reading_count
    from {{ ref('stg_sensor_events') }} as events
    inner join {{ ref('stg_tags') }} as tags on events.tag_id = tags.tag_id
    inner join {{ ref('stg_ops_watermarks') }} as watermark on watermark.pipeline = 'transform'
    where
        events.source_ts >= date_trunc('minute', '{{ moment() }}'::timestamptz) - interval '2 hours'
        and events.source_ts < date_trunc('minute', '{{ moment() }}'::timestamptz)
        and tags.role <> 'counter'
    group by events.tag_id, date_trunc('minute', events.source_ts)
    -- What landed since is not due yet.
    having bool_and(pg_visible_in_snapshot(events.landed_xid, watermark.snapshot))
)

select
    landed.tag_id,
    landed.minute,
    landed.reading_count,
    minutes.reading_count as rolled_up
from landed
left join {{ ref('int_sensor_minutes') }} as minutes
    on landed.tag_id = minutes.tag_id and landed.minute = minutes.minute
where landed.reading_count is distinct from minutes.reading_count
