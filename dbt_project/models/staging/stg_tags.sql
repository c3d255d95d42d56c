with source as (
    select * from {{ source('raw', 'tags') }}
),

renamed as (
    select
        tag_id,
        equipment_id,
        measurement,
        position,
        role::text as role,
        unit,
        data_type,
        states,
        valid_from,
        valid_to
    from source
)

select * from renamed
