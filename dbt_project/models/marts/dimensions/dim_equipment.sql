with assets as (
    select * from {{ ref('int_equipment_assets') }}
)

select * from assets
