with source as (
    select * from {{ source('serving', 'recommendations_serving') }}
),

renamed as (
    select
        recommendation_id,
        equipment_id,
        timestamp as window_end,
        anomaly_score,
        severity,
        action_code,
        confidence,
        estimated_ttf,
        status,
        model_version,
        deferred_until,
        published_at
    from source
)

select * from renamed
