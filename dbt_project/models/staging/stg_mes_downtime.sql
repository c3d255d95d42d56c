with source as (
    select * from {{ source('raw', 'mes_downtime') }}
),

renamed as (
    select
        downtime_id,
        equipment_id,
        starts_at,
        ends_at,
        planned,
        reason,
        work_order_id,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
