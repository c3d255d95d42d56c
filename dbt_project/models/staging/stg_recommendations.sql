with source as (
    select * from {{ source('ml', 'recommendations') }}
),

renamed as (
    select
        recommendation_id,
        equipment_id,
        timestamp as window_end,
        score_id,
        anomaly_score,
        severity,
        action_code,
        confidence,
        estimated_ttf,
        model_version,
        held_reason,
        created_at
    from source
)

select * from renamed
