with source as (
    select * from {{ source('ml', 'scores') }}
),

renamed as (
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
        over_gap as is_over_gap,
        scored_at,
        superseded_at
    from source
)

select * from renamed
