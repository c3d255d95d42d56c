with production as (
    select * from {{ ref('fact_production_metrics') }}
),

equipment as (
    select * from {{ ref('dim_equipment') }}
),

rated as (
    select
        *,
        {{ share('run_minutes', 'planned_minutes') }} as availability,
        {{ share('produced_quantity', 'ideal_quantity') }} as performance,
        {{ share('good_quantity', 'produced_quantity') }} as quality
    from production
),

joined as (
    select
        rated.equipment_id,
        equipment.equipment_name,
        equipment.area,
        equipment.equipment_type,
        rated.plant_id,
        rated.plant_day,
        rated.shift,
        rated.crew,
        rated.starts_at,
        rated.is_complete,
        rated.planned_minutes,
        rated.run_minutes,
        rated.unplanned_downtime_minutes,
        rated.planned_downtime_minutes,
        rated.unplanned_stops,
        rated.ideal_quantity,
        rated.produced_quantity,
        rated.good_quantity,
        rated.availability,
        rated.performance,
        rated.quality,
        case
            -- Nothing ran or nothing came out: the other factors have nothing to be a share of.
            when rated.availability = 0 or rated.performance = 0 then 0
            else rated.availability * rated.performance * rated.quality
        end as oee,
        {{ share('rated.produced_quantity * 60', 'rated.run_minutes') }} as throughput_per_h,
        rated.unplanned_downtime_minutes / 60 * equipment.downtime_cost_per_h as downtime_cost,
        equipment.currency
    from rated
    inner join equipment on rated.equipment_id = equipment.equipment_id
)

select * from joined
