with source as (
    select * from {{ source('raw', 'sensor_gaps') }}
),

renamed as (
    select
        gap_id,
        tag_id,
        from_ts as starts_at,
        to_ts as ends_at,
        cause,
        repaired as is_repaired,
        changed_xid
    from source
)

select * from renamed
