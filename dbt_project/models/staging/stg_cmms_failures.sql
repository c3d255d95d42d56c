with source as (
    select * from {{ source('raw', 'cmms_failures') }}
),

renamed as (
    select
        failure_id,
        equipment_id,
        component,
        failure_mode,
        failed_at,
        repaired_at,
        work_order_id,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
