with source as (
    select * from {{ source('raw', 'cmms_errors') }}
),

renamed as (
    select
        error_id,
        equipment_id,
        error_code,
        occurred_at,
        message,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
