with source as (
    select * from {{ source('raw', 'limits') }}
),

renamed as (
    select
        equipment_id,
        measurement,
        position,
        severity,
        direction,
        limit_value
    from source
)

select * from renamed
