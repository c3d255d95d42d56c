with source as (
    select * from {{ source('raw', 'equipment') }}
),

renamed as (
    select
        equipment_id,
        plant_id,
        name as equipment_name,
        area,
        equipment_type,
        load_measurement,
        rated_load,
        retired_at
    from source
)

select * from renamed
