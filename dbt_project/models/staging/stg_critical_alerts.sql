with source as (
    select * from {{ source('serving', 'critical_alerts') }}
),

renamed as (
    select
        alert_id,
        equipment_id,
        tag_id,
        measurement,
        position,
        timestamp as passed_at,
        severity,
        direction,
        value,
        limit_value,
        unit,
        state,
        transitions,
        acknowledged_at,
        cleared_at,
        cleared_because,
        raised_at
    from source
)

select * from renamed
