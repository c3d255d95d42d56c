with source as (
    select * from {{ source('raw', 'cmms_maintenance') }}
),

renamed as (
    select
        maintenance_id,
        equipment_id,
        component,
        kind,
        performed_at,
        work_order_id,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
