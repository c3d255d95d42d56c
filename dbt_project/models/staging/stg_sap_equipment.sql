with source as (
    select * from {{ source('raw', 'sap_equipment') }}
),

renamed as (
    select
        equipment_id,
        plant_id,
        manufacturer,
        model,
        commissioned_on,
        criticality,
        downtime_cost_per_h,
        currency,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
