with source as (
    select * from {{ source('raw', 'mes_production_orders') }}
),

renamed as (
    select
        order_id,
        equipment_id,
        product,
        planned_quantity,
        unit,
        planned_rate,
        planned_start,
        planned_end,
        actual_start,
        actual_end,
        status,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
