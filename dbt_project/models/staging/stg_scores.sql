-- No CTE here: Postgres merges a view into a query only without one, and then finds a machine's latest score by index.
select
    score_id,
    equipment_id,
    window_end,
    model_version,
    role,
    anomaly_score,
    action_code,
    confidence,
    estimated_ttf,
    ttf_low,
    ttf_high,
    failure_24h,
    failure_72h,
    failure_7d,
    over_gap as is_over_gap,
    scored_at,
    superseded_at
from {{ source('ml', 'scores') }}
