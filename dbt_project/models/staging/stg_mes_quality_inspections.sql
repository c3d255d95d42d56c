with source as (
    select * from {{ source('raw', 'mes_quality_inspections') }}
),

renamed as (
    select
        inspection_id,
        equipment_id,
        order_id,
        inspected_at,
        sample_size,
        defects,
        defect_type,
        passed as is_passed,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
