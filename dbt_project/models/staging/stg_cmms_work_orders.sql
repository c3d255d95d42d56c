with source as (
    select * from {{ source('raw', 'cmms_work_orders') }}
),

renamed as (
    select
        work_order_id,
        equipment_id,
        kind,
        component,
        problem_code,
        action_taken,
        opened_at,
        started_at,
        completed_at,
        available_at,
        loaded_at,
        loaded_xid
    from source
)

select * from renamed
