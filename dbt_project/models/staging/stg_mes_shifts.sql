with source as (
    select * from {{ source('raw', 'mes_shifts') }}
),

renamed as (
    select
        shift_id,
        plant_id,
        shift,
        crew,
        starts_at,
        ends_at,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
