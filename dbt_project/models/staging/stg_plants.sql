with source as (
    select * from {{ source('raw', 'plants') }}
),

renamed as (
    select
        plant_id,
        name as plant_name,
        timezone as time_zone
    from source
)

select * from renamed
