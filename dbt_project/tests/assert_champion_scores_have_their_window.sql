-- Why: a score whose window gold no longer has can't be explained, nor be marked superseded when late data comes.
-- The last two days stand for all.
{{ config(store_failures=true) }}

select
    scores.equipment_id,
    scores.window_end
from {{ ref('stg_scores') }} as scores
where
    scores.role = 'champion'
    and scores.superseded_at is null
    and scores.window_end > '{{ moment() }}'::timestamptz - interval '2 days'
    and not exists (
        select 1 from {{ ref('gold_ml_features') }} as gold
        where gold.equipment_id = scores.equipment_id and gold.window_end = scores.window_end
    )
