{{ config(materialized='view', tags=['hourly']) }}

with recommendations as (
    select
        *,
        -- What was imported from the past was shown when its window ended, not when it was loaded.
        case when published_at < window_end + interval '1 hour' then published_at else window_end end as shown_at
    from {{ ref('stg_recommendations_serving') }}
    where window_end >= '{{ moment() }}'::timestamptz - interval '{{ var("board_days") }} days'
),

equipment as (
    select * from {{ ref('int_equipment_assets') }}
),

answers as (
    select
        recommendation_id,
        min(action_timestamp) filter (where operator_action <> 'ask_ai_why') as answered_at,
        -- A decision outlasts a deferral, the last one the others.
        (
            array_agg(operator_action order by operator_action = 'deferred', action_timestamp desc)
            filter (where operator_action <> 'ask_ai_why')
        )[1] as answer
    from {{ ref('stg_operator_feedback') }}
    group by recommendation_id
),

judgments as (
    select
        equipment_id,
        ends_at,
        label
    from {{ ref('stg_verdicts') }}
    where label <> 'undecided'
),

followed as (
    select distinct on (recommendations.recommendation_id)
        recommendations.recommendation_id,
        breakdowns.breakdown_id,
        breakdowns.is_failure,
        breakdowns.occurred_at
    from recommendations
    inner join {{ ref('int_breakdowns') }} as breakdowns
        on
            recommendations.equipment_id = breakdowns.equipment_id
            and recommendations.window_end <= breakdowns.occurred_at
            and breakdowns.occurred_at < recommendations.window_end + interval '{{ var("outcome_hours") }} hours'
    order by recommendations.recommendation_id, breakdowns.occurred_at, breakdowns.breakdown_id
),

joined as (
    select
        recommendations.recommendation_id,
        recommendations.equipment_id,
        equipment.plant_id,
        {{ plant_day('recommendations.window_end', 'equipment.time_zone') }} as plant_day,
        recommendations.window_end,
        recommendations.shown_at,
        recommendations.anomaly_score,
        recommendations.severity,
        recommendations.action_code,
        recommendations.model_version,
        recommendations.status,
        answers.answer,
        answers.answered_at,
        judgments.label,
        followed.breakdown_id,
        followed.is_failure,
        followed.occurred_at as breakdown_at,
        case
            when judgments.label = 'true_positive' then 'confirmed'
            when judgments.label = 'false_positive' then 'false_alarm'
            -- Nobody answered, or it was put off.
            when followed.breakdown_id is not null then 'confirmed'
            when
                recommendations.status = 'expired'
                and recommendations.window_end
                < '{{ moment() }}'::timestamptz - interval '{{ var("outcome_hours") }} hours'
                then 'false_alarm'
            else 'undecided'
        end as outcome
    from recommendations
    left join equipment on recommendations.equipment_id = equipment.equipment_id
    left join answers on recommendations.recommendation_id = answers.recommendation_id
    left join judgments
        on
            recommendations.equipment_id = judgments.equipment_id
            and recommendations.window_end = judgments.ends_at
    left join followed on recommendations.recommendation_id = followed.recommendation_id
)

select * from joined
