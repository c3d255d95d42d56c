{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='hour',
    on_schema_change='append_new_columns', meta={'domain': 'ops'}
) }}

-- The last days again, for readings and answers come late; what is older stays as it was.
with hours as (
    select hour from generate_series(
        date_trunc('hour', '{{ moment() }}'::timestamptz, 'UTC')
        - interval '{{ var("pipeline_days") }} days',
        '{{ moment() }}'::timestamptz,
        interval '1 hour'
    ) as clock (hour)
),

span as (
    select min(hour) as since from hours
),

metrics as (
    select
        {{ utc_hour('measured_at') }} as hour,
        percentile_cont(0.5) within group (order by value) filter (where metric = 'lag_ms_p50') as landing_p50_ms,
        max(value) filter (where metric = 'lag_ms_p99') as landing_p99_ms,
        percentile_cont(0.5) within group (order by value) filter (where metric = 'score_s') as score_s,
        percentile_cont(0.5) within group (order by value) filter (where metric = 'publish_s') as publish_s
    from {{ ref('stg_ops_pipeline_metrics') }}
    where
        measured_at >= (select span.since from span)
        and measured_at <= '{{ moment() }}'::timestamptz
        and (stage, metric) in (
            ('ingest', 'lag_ms_p50'), ('ingest', 'lag_ms_p99'), ('score', 'score_s'), ('score', 'publish_s')
        )
    group by {{ utc_hour('measured_at') }}
),

runs as (
    select
        {{ utc_hour('started_at') }} as hour,
        count(*)::integer as transform_runs,
        (count(*) filter (where is_succeeded is false))::integer as transform_failures,
        percentile_cont(0.5) within group (
            order by date_part('epoch', finished_at - started_at)
        ) filter (where is_succeeded) as transform_s
    from {{ ref('stg_ops_transform_runs') }}
    where
        started_at >= (select span.since from span)
        and started_at <= '{{ moment() }}'::timestamptz
    group by {{ utc_hour('started_at') }}
),

activity as (
    select * from {{ ref('int_activity_hours') }}
),

joined as (
    select
        hours.hour,
        coalesce(activity.readings, 0) as readings,
        coalesce(activity.windows_scored, 0) as windows_scored,
        coalesce(activity.anomalies, 0) as anomalies,
        coalesce(activity.recommendations, 0) as recommendations,
        coalesce(activity.answered, 0) as answered,
        coalesce(activity.executed, 0) as executed,
        {{ share('activity.executed', 'activity.answered') }} as approval_rate,
        metrics.landing_p50_ms,
        metrics.landing_p99_ms,
        coalesce(runs.transform_runs, 0) as transform_runs,
        coalesce(runs.transform_failures, 0) as transform_failures,
        runs.transform_s,
        metrics.score_s,
        metrics.publish_s,
        activity.window_to_score_s,
        activity.window_to_operator_s,
        activity.operator_to_answer_s
    from hours
    left join activity on hours.hour = activity.hour
    left join metrics on hours.hour = metrics.hour
    left join runs on hours.hour = runs.hour
)

select * from joined
