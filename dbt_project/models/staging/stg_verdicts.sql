with source as (
    select * from {{ source('ml', 'verdicts') }}
),

renamed as (
    select
        label_id,
        equipment_id,
        from_ts as starts_at,
        to_ts as ends_at,
        label,
        action_code,
        source as label_source,
        source_id,
        judged_by,
        judged_at
    from source
)

select * from renamed
