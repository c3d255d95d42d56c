with source as (
    select * from {{ source('raw', 'sap_plants') }}
),

renamed as (
    select
        plant_id,
        name,
        country,
        city,
        currency,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
