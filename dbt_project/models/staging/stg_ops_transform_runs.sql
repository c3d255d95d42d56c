with source as (
    select * from {{ source('ops', 'transform_runs') }}
),

renamed as (
    select
        run_id,
        moment,
        started_at,
        finished_at,
        succeeded as is_succeeded
    from source
)

select * from renamed
