{{ config(meta={'domain': 'mes'}) }}

with inspections as (
    select * from {{ ref('stg_mes_quality_inspections') }}
),

context as (
    select * from {{ ref('int_inspection_context') }}
),

joined as (
    select
        inspections.inspection_id,
        inspections.equipment_id,
        context.plant_id,
        context.plant_day,
        context.shift,
        context.crew,
        context.order_id,
        context.product,
        inspections.inspected_at,
        inspections.sample_size,
        inspections.defects,
        case when inspections.defects > 0 then coalesce(inspections.defect_type, 'unspecified') end as defect_type,
        {{ share('inspections.defects', 'inspections.sample_size') }} as defect_rate,
        inspections.is_passed,
        inspections.available_at
    from inspections
    inner join context on inspections.inspection_id = context.inspection_id
)

select * from joined
