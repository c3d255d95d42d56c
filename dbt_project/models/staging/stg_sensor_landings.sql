with source as (
    select * from {{ source('raw', 'sensor_events') }}
),

renamed as (
    select
        tag_id,
        source_ts,
        landed_xid
    from source
)

select * from renamed
