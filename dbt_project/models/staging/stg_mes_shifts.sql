with source as (
    select * from {{ source('raw', 'mes_shifts') }}
),

renamed as (
    select
        shift_id,
        shift,
        crew,
        starts_at,
        ends_at,
        available_at
    from source
)

select * from renamed
