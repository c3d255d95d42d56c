with inspections as (
    select * from {{ ref('fact_quality_inspections') }}
),

equipment as (
    select * from {{ ref('dim_equipment') }}
),

found as (
    select
        equipment_id,
        plant_day,
        shift,
        product,
        defect_type,
        sum(defects) as defects
    from inspections
    where defect_type is not null
    group by equipment_id, plant_day, shift, product, defect_type
),

-- Of two kinds that are found alike the first in the alphabet.
worst_types as (
    select distinct on (equipment_id, plant_day, shift, product)
        equipment_id,
        plant_day,
        shift,
        product,
        defect_type
    from found
    order by equipment_id, plant_day, shift, product, defects desc, defect_type
),

summed_up as (
    select
        equipment_id,
        plant_id,
        plant_day,
        shift,
        product,
        count(*)::integer as inspections,
        (count(*) filter (where is_passed))::integer as passed,
        sum(sample_size)::integer as sample_size,
        sum(defects)::integer as defects
    from inspections
    group by equipment_id, plant_id, plant_day, shift, product
),

joined as (
    select
        summed_up.equipment_id,
        equipment.equipment_name,
        equipment.area,
        equipment.equipment_type,
        summed_up.plant_id,
        summed_up.plant_day,
        summed_up.shift,
        summed_up.product,
        summed_up.inspections,
        summed_up.passed,
        summed_up.sample_size,
        summed_up.defects,
        {{ share('summed_up.passed', 'summed_up.inspections') }} as pass_rate,
        {{ share('summed_up.defects', 'summed_up.sample_size') }} as defect_rate,
        worst_types.defect_type as worst_defect_type
    from summed_up
    inner join equipment on summed_up.equipment_id = equipment.equipment_id
    left join worst_types
        on
            summed_up.equipment_id = worst_types.equipment_id
            and summed_up.plant_day = worst_types.plant_day
            and summed_up.shift is not distinct from worst_types.shift
            and summed_up.product is not distinct from worst_types.product
)

select * from joined
