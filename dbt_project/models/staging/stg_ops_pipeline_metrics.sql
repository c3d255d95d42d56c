with source as (
    select * from {{ source('ops', 'pipeline_metrics') }}
),

renamed as (
    select
        measured_at,
        stage,
        metric,
        value,
        labels
    from source
)

select * from renamed
