{{ config(materialized='view', meta={'domain': 'ml'}) }}

with equipment as (
    select * from {{ ref('dim_equipment') }}
    where is_in_service
),

scores as not materialized (
    select * from {{ ref('stg_scores') }}
    where role = 'champion' and superseded_at is null
),

-- An index probe by machine: history grows by a row a machine and minute.
latest_scores as (
    select latest.*
    from equipment
    cross join lateral (
        select *
        from scores
        where scores.equipment_id = equipment.equipment_id
        order by scores.window_end desc
        limit 1
    ) as latest
),

joined as (
    select
        equipment.equipment_id,
        equipment.equipment_name,
        equipment.area,
        equipment.equipment_type,
        latest_scores.anomaly_score,
        {{ health_status('latest_scores.anomaly_score', 'latest_scores.confidence') }} as status,
        latest_scores.action_code,
        latest_scores.confidence,
        latest_scores.estimated_ttf,
        latest_scores.window_end as scored_window_end,
        latest_scores.model_version
    from equipment
    left join latest_scores on equipment.equipment_id = latest_scores.equipment_id
)

select * from joined
