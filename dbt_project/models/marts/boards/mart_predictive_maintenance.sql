{{ config(materialized='view', meta={'domain': 'ml'}) }}

with equipment as (
    select * from {{ ref('dim_equipment') }}
    where is_in_service
),

upkeep as (
    select * from {{ ref('int_equipment_upkeep') }}
),

scores as not materialized (
    select * from {{ ref('stg_scores') }}
    where role = 'champion' and superseded_at is null
),

recommendations as (
    select distinct on (equipment_id) *
    from {{ ref('stg_recommendations_serving') }}
    where status in ('pending', 'deferred')
    order by equipment_id, anomaly_score desc
),

-- Index probes by machine: history grows by a row a machine and minute.
recent_scores as (
    select
        equipment.equipment_id,
        latest.window_end as scored_window_end,
        latest.anomaly_score,
        latest.confidence,
        latest.estimated_ttf,
        latest.ttf_low,
        latest.ttf_high,
        latest.failure_24h,
        latest.failure_72h,
        latest.failure_7d,
        day_before.mean_score as mean_score_24h,
        day_before.max_score as max_score_24h
    from equipment
    cross join lateral (
        select *
        from scores
        where scores.equipment_id = equipment.equipment_id
        order by scores.window_end desc
        limit 1
    ) as latest
    cross join lateral (
        select
            avg(scores.anomaly_score) as mean_score,
            max(scores.anomaly_score) as max_score
        from scores
        where
            scores.equipment_id = equipment.equipment_id
            and scores.window_end > latest.window_end - interval '24 hours'
    ) as day_before
),

joined as (
    select
        equipment.equipment_id,
        equipment.equipment_name,
        equipment.area,
        equipment.equipment_type,
        equipment.criticality,
        recent_scores.scored_window_end,
        recent_scores.anomaly_score,
        {{ health_status('recent_scores.anomaly_score', 'recent_scores.confidence') }} as status,
        recent_scores.mean_score_24h,
        recent_scores.max_score_24h,
        coalesce(recommendations.estimated_ttf, recent_scores.estimated_ttf) as estimated_ttf,
        recent_scores.ttf_low,
        recent_scores.ttf_high,
        recent_scores.failure_24h,
        recent_scores.failure_72h,
        recent_scores.failure_7d,
        recommendations.recommendation_id,
        recommendations.window_end as recommended_at,
        recommendations.severity,
        recommendations.action_code,
        recommendations.status as recommendation_status,
        upkeep.failures_90d,
        upkeep.last_failure_at,
        upkeep.mean_h_between_failures,
        upkeep.mean_h_to_repair,
        upkeep.errors_24h,
        upkeep.open_work_orders,
        upkeep.last_maintenance_at,
        upkeep.next_maintenance_at,
        upkeep.missing_parts,
        upkeep.missing_parts_lead_days,
        recent_scores.anomaly_score * upkeep.mean_h_to_repair * equipment.downtime_cost_per_h as cost_at_risk,
        equipment.currency
    from equipment
    left join recent_scores on equipment.equipment_id = recent_scores.equipment_id
    left join recommendations on equipment.equipment_id = recommendations.equipment_id
    left join upkeep on equipment.equipment_id = upkeep.equipment_id
)

select * from joined
