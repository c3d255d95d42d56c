with source as (
    select * from {{ source('raw', 'sap_spare_parts') }}
),

renamed as (
    select
        part_id,
        plant_id,
        description as part_description,
        component,
        model,
        stock,
        lead_time_days,
        unit_cost,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
