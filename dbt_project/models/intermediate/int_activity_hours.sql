{{ config(materialized='view', tags=['hourly']) }}

with span as (
    select
        date_trunc('hour', '{{ moment() }}'::timestamptz, 'UTC') - interval '{{ var("pipeline_days") }} days' as since,
        '{{ moment() }}'::timestamptz as until
),

-- Index probes by machine and by window: all of history isn't looked at.
readings as (
    select
        {{ utc_hour('minutes.minute') }} as hour,
        sum(minutes.reading_count)::bigint as readings
    from {{ ref('stg_equipment') }} as equipment
    cross join span
    cross join lateral (
        select
            minute,
            reading_count
        from {{ ref('int_equipment_minutes') }} as own
        where own.equipment_id = equipment.equipment_id and own.minute >= span.since and own.minute < span.until
        offset 0
    ) as minutes
    group by {{ utc_hour('minutes.minute') }}
),

scores as (
    select
        {{ utc_hour('scores.window_end') }} as hour,
        count(*)::integer as windows_scored,
        (count(*) filter (where scores.anomaly_score >= 0.5))::integer as anomalies,
        percentile_cont(0.5) within group (
            order by date_part('epoch', scores.scored_at - scores.window_end)
        ) as window_to_score_s
    from {{ ref('stg_scores') }} as scores
    cross join span
    where
        scores.window_end >= span.since
        and scores.window_end <= span.until
        and scores.role = 'champion'
        and scores.superseded_at is null
    group by {{ utc_hour('scores.window_end') }}
),

recommendations as (
    select
        {{ utc_hour('outcomes.window_end') }} as hour,
        count(*)::integer as recommendations,
        count(outcomes.answer)::integer as answered,
        (count(*) filter (where outcomes.answer = 'executed'))::integer as executed,
        percentile_cont(0.5) within group (
            order by date_part('epoch', outcomes.shown_at - outcomes.window_end)
        ) as window_to_operator_s,
        percentile_cont(0.5) within group (
            order by date_part('epoch', outcomes.answered_at - outcomes.shown_at)
        ) as operator_to_answer_s
    from {{ ref('int_recommendation_outcomes') }} as outcomes
    cross join span
    where outcomes.window_end >= span.since and outcomes.window_end <= span.until
    group by {{ utc_hour('outcomes.window_end') }}
),

hours as (
    select hour from readings
    union
    select hour from scores
    union
    select hour from recommendations
),

joined as (
    select
        hours.hour,
        readings.readings,
        scores.windows_scored,
        scores.anomalies,
        scores.window_to_score_s,
        recommendations.recommendations,
        recommendations.answered,
        recommendations.executed,
        recommendations.window_to_operator_s,
        recommendations.operator_to_answer_s
    from hours
    left join readings on hours.hour = readings.hour
    left join scores on hours.hour = scores.hour
    left join recommendations on hours.hour = recommendations.hour
)

select * from joined
