with source as (
    select * from {{ source('raw', 'mes_schedules') }}
),

renamed as (
    select
        schedule_id,
        equipment_id,
        order_id,
        product,
        planned_state,
        planned_rate,
        starts_at,
        ends_at,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
