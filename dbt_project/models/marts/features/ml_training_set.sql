{{ config(materialized='view', tags=['hourly'], meta={'domain': 'ml'}) }}
{#- What models see, by the names of ml/features.py; a test compares the two. -#}
{%- set features = [] %}
{%- for window in [5, 15, 60] %}
{%- for measurement in var('measurements') %}
{%- do features.append(measurement ~ '_deviation_' ~ window ~ 'm') %}
{%- endfor %}
{%- endfor %}
{%- for measurement in var('measurements') %}
{%- do features.append(measurement ~ '_flat_minutes') %}
{%- endfor %}
{%- do features.append('load_ratio') %}
{%- for measurement in var('measurements') %}
{%- do features.append(measurement ~ '_z_score_24h') %}
{%- endfor %}
{%- for name in ['errors_24h', 'failures_90d', 'hours_since_maintenance', 'equipment_age_days', 'running_hours_24h'] %}
{%- do features.append(name) %}
{%- endfor %}

with mart as (
    select * from {{ ref('gold_ml_features') }}
    where is_running and in_maintenance is not true
),

scores as (
    select * from {{ ref('stg_scores') }}
),

vectors as (
    select * from {{ ref('stg_scored_features') }}
    where features ?& array['{{ features | join("', '") }}']
),

faults as (
    select * from {{ ref('int_faults') }}
),

answers as (
    select * from {{ ref('stg_verdicts') }}
    where label <> 'undecided'
),

-- The vector as it was scored first: later ones came of late data. What it was made from was known when it was scored
-- and, where nothing came after, already when the mart says so.
final as (
    select
        mart.equipment_id,
        mart.window_end,
        case when first_scored.score_id is null then 'mart' else 'scored' end as vector_from,
        least(first_scored.scored_at, mart.available_at) as available_at,
        coalesce(first_scored.is_over_gap, mart.over_gap) as over_gap,
        {%- for feature in features %}
        case
            when first_scored.score_id is null then mart.{{ feature }}
            else (first_scored.features ->> '{{ feature }}')::double precision
        end as {{ feature }},
        {%- endfor %}
        next_fault.fault_at as next_fault_at,
        next_fault.mode as next_fault_mode,
        next_fault.is_failure as is_next_fault_a_failure,
        next_fault.known_at as next_fault_known_at,
        date_part('epoch', next_fault.fault_at - mart.window_end) / 3600 as hours_to_fault,
        answered.label as answer,
        answered.action_code as answer_action_code,
        answered.judged_at as answer_known_at
    from mart
    left join lateral (
        select
            vectors.score_id,
            vectors.features,
            scores.scored_at,
            scores.is_over_gap
        from vectors
        inner join scores on vectors.score_id = scores.score_id
        where vectors.equipment_id = mart.equipment_id and vectors.window_end = mart.window_end
        order by vectors.score_id
        limit 1
    ) as first_scored on true
    left join faults as next_fault
        on
            mart.equipment_id = next_fault.equipment_id
            and mart.window_end > next_fault.next_since and mart.window_end <= next_fault.fault_at
    left join lateral (
        select answers.*
        from answers
        where
            answers.equipment_id = mart.equipment_id
            and answers.starts_at < mart.window_end and mart.window_end <= answers.ends_at
        order by answers.label_id desc
        limit 1
    ) as answered on true
)

select * from final
