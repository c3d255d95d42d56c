with source as (
    select * from {{ source('raw', 'former_rows') }}
),

renamed as (
    select
        former_id,
        table_name,
        row as former_row,
        row ->> 'equipment_id' as equipment_id,
        changed_at,
        changed_xid
    from source
)

select * from renamed
