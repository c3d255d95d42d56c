{{ config(materialized='view', tags=['hourly']) }}

with breakdowns as (
    select * from {{ ref('int_breakdowns') }}
    where occurred_at >= '{{ moment() }}'::timestamptz - interval '{{ var("board_days") }} days'
),

equipment as (
    select * from {{ ref('int_equipment_assets') }}
),

candidates as (
    select * from {{ ref('stg_recommendations') }}
),

shown as (
    select * from {{ ref('int_recommendation_outcomes') }}
),

-- What was out of the ordinary in the time before, whether operators were shown it or not. What was recorded later is no
-- sign of then: recommendations of a system before this one say when operators were told, and not what was seen first.
first_signs as (
    select
        breakdowns.breakdown_id,
        min(candidates.window_end) as first_abnormal_at
    from breakdowns
    inner join candidates
        on
            breakdowns.equipment_id = candidates.equipment_id
            and breakdowns.occurred_at >= candidates.created_at
            and breakdowns.occurred_at >= candidates.window_end
            and breakdowns.occurred_at - interval '{{ var("outcome_hours") }} hours' < candidates.window_end
    group by breakdowns.breakdown_id
),

warnings as (
    select
        breakdowns.breakdown_id,
        min(shown.shown_at) as detected_at
    from breakdowns
    inner join shown
        on
            breakdowns.equipment_id = shown.equipment_id
            and breakdowns.occurred_at >= shown.shown_at
            and breakdowns.occurred_at - interval '{{ var("outcome_hours") }} hours' < shown.window_end
    group by breakdowns.breakdown_id
),

joined as (
    select
        breakdowns.*,
        equipment.plant_id,
        {{ plant_day('breakdowns.occurred_at', 'equipment.time_zone') }} as plant_day,
        equipment.equipment_type,
        first_signs.first_abnormal_at,
        warnings.detected_at,
        date_part(
            'epoch', coalesce(warnings.detected_at, breakdowns.occurred_at) - first_signs.first_abnormal_at
        ) / 60 as minutes_to_detect,
        date_part('epoch', breakdowns.occurred_at - warnings.detected_at) / 3600 as warning_h,
        date_part('epoch', breakdowns.over_at - breakdowns.occurred_at) / 3600 as downtime_h
    from breakdowns
    left join equipment on breakdowns.equipment_id = equipment.equipment_id
    left join first_signs on breakdowns.breakdown_id = first_signs.breakdown_id
    left join warnings on breakdowns.breakdown_id = warnings.breakdown_id
)

select * from joined
