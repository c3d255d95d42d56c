with source as (
    select * from {{ source('ops', 'watermarks') }}
),

renamed as (
    select
        pipeline,
        snapshot,
        moment,
        moved_at
    from source
)

select * from renamed
