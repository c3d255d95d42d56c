with source as (
    select * from {{ source('raw', 'mes_production_counts') }}
),

renamed as (
    select
        count_id,
        equipment_id,
        order_id,
        from_ts,
        to_ts,
        produced_quantity,
        good_quantity,
        unit,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
