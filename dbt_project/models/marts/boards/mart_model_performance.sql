{{ config(meta={'domain': 'ml'}) }}

with candidates as (
    select * from {{ ref('stg_recommendations') }}
    where window_end >= '{{ moment() }}'::timestamptz - interval '{{ var("board_days") }} days'
),

outcomes as (
    select * from {{ ref('int_recommendation_outcomes') }}
),

equipment as (
    select * from {{ ref('dim_equipment') }}
),

-- The word before the colon is the kind of reason.
raised as (
    select
        candidates.model_version,
        candidates.action_code,
        date_trunc('week', candidates.window_end at time zone equipment.time_zone)::date as week_start,
        count(*)::integer as candidates,
        (count(*) filter (where split_part(candidates.held_reason, ':', 1) = 'low confidence'))::integer
            as held_low_confidence,
        (count(*) filter (where split_part(candidates.held_reason, ':', 1) = 'alarm budget'))::integer
            as held_alarm_budget
    from candidates
    inner join equipment on candidates.equipment_id = equipment.equipment_id
    group by candidates.model_version, candidates.action_code, week_start
),

judged as (
    select
        outcomes.model_version,
        outcomes.action_code,
        date_trunc('week', outcomes.window_end at time zone equipment.time_zone)::date as week_start,
        count(*)::integer as shown,
        (count(*) filter (where outcomes.answer = 'executed'))::integer as executed,
        (count(*) filter (where outcomes.answer = 'rejected'))::integer as rejected,
        (count(*) filter (where outcomes.answer = 'deferred'))::integer as deferred,
        (count(*) filter (where outcomes.answer is null))::integer as unanswered,
        (count(*) filter (where outcomes.label = 'true_positive'))::integer as judged_true,
        (count(*) filter (where outcomes.label = 'false_positive'))::integer as judged_false,
        (count(*) filter (where outcomes.outcome = 'confirmed'))::integer as confirmed,
        (count(*) filter (where outcomes.outcome = 'false_alarm'))::integer as false_alarms
    from outcomes
    inner join equipment on outcomes.equipment_id = equipment.equipment_id
    group by outcomes.model_version, outcomes.action_code, week_start
),

-- Most candidates are never shown, and one that escalated carries the action and model that made it worse.
joined as (
    select
        coalesce(raised.model_version, judged.model_version) as model_version,
        coalesce(raised.action_code, judged.action_code) as action_code,
        coalesce(raised.week_start, judged.week_start) as week_start,
        coalesce(raised.candidates, 0) as candidates,
        coalesce(raised.held_low_confidence, 0) as held_low_confidence,
        coalesce(raised.held_alarm_budget, 0) as held_alarm_budget,
        coalesce(judged.shown, 0) as shown,
        coalesce(judged.executed, 0) as executed,
        coalesce(judged.rejected, 0) as rejected,
        coalesce(judged.deferred, 0) as deferred,
        coalesce(judged.unanswered, 0) as unanswered,
        coalesce(judged.judged_true, 0) as judged_true,
        coalesce(judged.judged_false, 0) as judged_false,
        coalesce(judged.confirmed, 0) as confirmed,
        coalesce(judged.false_alarms, 0) as false_alarms,
        {{ share('judged.executed', 'judged.executed + judged.rejected + judged.deferred') }} as acceptance_rate,
        {{ share('judged.judged_true', 'judged.judged_true + judged.judged_false') }} as precision_by_feedback,
        {{ share('judged.false_alarms', 'judged.confirmed + judged.false_alarms') }} as false_alarm_rate
    from raised
    full outer join judged
        on
            raised.model_version = judged.model_version
            and raised.action_code = judged.action_code
            and raised.week_start = judged.week_start
)

select * from joined
