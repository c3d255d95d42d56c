with source as (
    select * from {{ source('raw', 'operator_feedback') }}
),

renamed as (
    select
        feedback_id,
        recommendation_id,
        equipment_id,
        recommendation_timestamp,
        action_code,
        anomaly_score,
        operator_action,
        operator_id,
        action_timestamp,
        operator_notes,
        shift,
        session_id,
        asked_genie as is_genie_asked,
        created_at
    from source
)

select * from renamed
