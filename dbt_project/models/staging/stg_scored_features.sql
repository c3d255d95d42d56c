with source as (
    select * from {{ source('ml', 'scored_features') }}
),

renamed as (
    select
        score_id,
        equipment_id,
        window_end,
        features,
        contract
    from source
)

select * from renamed
