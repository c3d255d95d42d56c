with addresses as (
    select * from {{ ref('int_plant_addresses') }}
)

select * from addresses
