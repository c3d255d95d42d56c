with breakdowns as (
    select
        *,
        date_trunc('week', plant_day::timestamp)::date as week_start
    from {{ ref('int_breakdown_detections') }}
    where plant_id is not null
),

outcomes as (
    select
        *,
        date_trunc('week', plant_day::timestamp)::date as week_start
    from {{ ref('int_recommendation_outcomes') }}
    where plant_id is not null
),

equipment as (
    select * from {{ ref('dim_equipment') }}
),

durations as (
    select * from {{ ref('int_failure_durations') }}
),

failed as (
    select
        breakdowns.plant_id,
        breakdowns.week_start,
        count(*)::integer as breakdowns,
        (count(*) filter (where breakdowns.is_failure))::integer as failures,
        (count(breakdowns.detected_at))::integer as detected,
        avg(breakdowns.minutes_to_detect) as mean_minutes_to_detect,
        avg(breakdowns.warning_h) as mean_warning_h,
        sum(breakdowns.downtime_h) filter (where breakdowns.is_failure) as failure_downtime_h,
        sum(breakdowns.downtime_h * equipment.downtime_cost_per_h) filter (where breakdowns.is_failure)
            as failure_downtime_cost
    from breakdowns
    inner join equipment on breakdowns.equipment_id = equipment.equipment_id
    group by breakdowns.plant_id, breakdowns.week_start
),

-- One a machine and day: two recommendations that were executed on the same fault prevent one failure.
prevented as (
    select distinct on (outcomes.equipment_id, outcomes.plant_day)
        outcomes.plant_id,
        outcomes.week_start,
        durations.mean_downtime_h as prevented_h,
        durations.mean_downtime_h * equipment.downtime_cost_per_h as prevented_cost
    from outcomes
    inner join equipment on outcomes.equipment_id = equipment.equipment_id
    left join durations on equipment.equipment_type = durations.equipment_type
    where outcomes.answer = 'executed' and not coalesce(outcomes.is_failure, false)
    order by outcomes.equipment_id, outcomes.plant_day, outcomes.window_end
),

saved as (
    select
        plant_id,
        week_start,
        count(*)::integer as failures_prevented,
        sum(prevented_h) as downtime_prevented_h,
        sum(prevented_cost) as cost_prevented
    from prevented
    group by plant_id, week_start
),

answered as (
    select
        plant_id,
        week_start,
        count(*)::integer as shown,
        count(answer)::integer as answered,
        (count(*) filter (where answer = 'executed'))::integer as executed,
        avg(date_part('epoch', answered_at - shown_at) / 60) as mean_minutes_to_respond,
        (count(*) filter (where outcome = 'confirmed'))::integer as confirmed,
        (count(*) filter (where outcome = 'false_alarm'))::integer as false_alarms
    from outcomes
    group by plant_id, week_start
),

joined as (
    select
        coalesce(failed.plant_id, answered.plant_id) as plant_id,
        coalesce(failed.week_start, answered.week_start) as week_start,
        coalesce(failed.breakdowns, 0) as breakdowns,
        coalesce(failed.failures, 0) as failures,
        coalesce(failed.detected, 0) as detected,
        {{ share('failed.detected', 'failed.breakdowns') }} as detection_rate,
        failed.mean_minutes_to_detect,
        failed.mean_warning_h,
        answered.mean_minutes_to_respond,
        coalesce(answered.shown, 0) as shown,
        coalesce(answered.answered, 0) as answered,
        coalesce(answered.executed, 0) as executed,
        {{ share('answered.executed', 'answered.answered') }} as acceptance_rate,
        coalesce(answered.confirmed, 0) as confirmed,
        coalesce(answered.false_alarms, 0) as false_alarms,
        {{ share('answered.false_alarms', 'answered.confirmed + answered.false_alarms') }} as false_alarm_rate,
        failed.failure_downtime_h,
        failed.failure_downtime_cost,
        coalesce(saved.failures_prevented, 0) as failures_prevented,
        saved.downtime_prevented_h,
        saved.cost_prevented
    from failed
    full outer join answered on failed.plant_id = answered.plant_id and failed.week_start = answered.week_start
    left join saved on answered.plant_id = saved.plant_id and answered.week_start = saved.week_start
)

select * from joined
