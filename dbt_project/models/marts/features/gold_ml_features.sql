{{ config(
    tags=['minute'], meta={'domain': 'plant'}, unique_key=['equipment_id', 'window_end'],
    incremental_strategy='replace', partition_by='window_end', slices=12,
    indexes=[{'columns': ['equipment_id', 'window_end'], 'unique': true}, {'columns': ['built_xid']}]
) }}
{%- set update = is_update() %}
{%- set measurements = var('measurements') %}
{%- set context_changes = ref('int_context_changes') %}

-- The CTEs with a macro of their own are described there.
with tag_minutes as not materialized (
    select * from {{ ref('int_sensor_minutes') }}
),

equipment_minutes as not materialized (
    select * from {{ ref('int_equipment_minutes') }}
),

tag_hours as not materialized (
    select * from {{ ref('int_sensor_hours') }}
),

baselines as not materialized (
    select * from {{ ref('int_baselines') }}
),

history as materialized (
    select * from {{ ref('int_equipment_history') }}
),

equipment as materialized (
    select
        equipment.*,
        plants.time_zone
    from {{ ref('stg_equipment') }} as equipment
    inner join {{ ref('stg_plants') }} as plants on equipment.plant_id = plants.plant_id
),

{{ feature_series(ref('stg_tags')) }},

targets as materialized (
    select
        equipment_id,
        minute,
        {{ minute_number('minute') }} as number
    from (
        {{ feature_targets(update, context_changes, this) }}
    ) as wanted
    {%- if not update %}
    where {{ of_slice() }}
    {%- endif %}
),

{{ feature_minutes() }},

-- By day, for their index leads with it: there are months of them.
baselines_held as materialized (
    select
        tags.tag_id,
        baselines_of_day.regime,
        baselines_of_day.version_day,
        baselines_of_day.baseline_mean,
        baselines_of_day.baseline_std,
        baselines_of_day.load_mean,
        baselines_of_day.load_slope
    from (select distinct version_day from wanted) as days
    cross join lateral (
        select * from baselines
        where baselines.version_day = days.version_day
        offset 0
    ) as baselines_of_day
    inner join tags
        on
            baselines_of_day.equipment_id = tags.equipment_id
            and baselines_of_day.measurement = tags.measurement
            and baselines_of_day.position = tags.position
),

measured as (
    {{ feature_measured() }}
),

blocks as (
    {{ feature_blocks() }}
),

windows as (
    {{ feature_windows(update) }}
),

{{ feature_hours() }},

set_points_held as (
    {{ feature_set_points() }}
),

measures as materialized (
    {{ feature_measures() }}
),

completeness as (
    {{ feature_completeness(update) }}
),

final as (
    select
        completeness.equipment_id,
        completeness.minute + interval '1 minute' as window_end,
        completeness.run_state,
        completeness.is_running,
        completeness.in_maintenance,
        completeness.load_ratio,
        completeness.regime,
        {%- for measurement in measurements %}
        {%- for column in feature_columns() %}
        {%- if column.startswith('deviation_') %}
        {%- set window = column | replace('deviation_', '') | replace('m', '') %}
        {#- In a third of the minutes that told something at least: a mean of fewer strays further than those that it is held
            against. A machine that tells one an hour has no more. #}
        case when 3 * completeness.running_{{ window }} >= completeness.told_{{ window }}
            then {{ measurement }}_measures.{{ column }} end as {{ measurement }}_{{ column }},
        {%- else %}
        {{ measurement }}_measures.{{ column }} as {{ measurement }}_{{ column }},
        {%- endif %}
        {%- endfor %}
        {%- endfor %}
        {{ feature_interactions() }}
        1 - completeness.good_readings::double precision / nullif(completeness.readings, 0) as bad_share_60m,
        1 - completeness.tag_minutes::double precision / nullif(60 * completeness.most_tags, 0) as missing_share_60m,
        coalesce(
            completeness.tag_minutes < 0.95 * 60 * completeness.most_tags
            or completeness.gap_seconds_60 > 0.05 * 60 * 60 * completeness.most_tags,
            true
        ) as over_gap,
        machine_days.running_hours as running_hours_24h,
        {{ hours_since_service('completeness.minute') }} as hours_since_maintenance,
        {{ known_since('history.failures_known_at', 'completeness.minute', '90 days') }} as failures_90d,
        {{ known_since('history.errors_known_at', 'completeness.minute', '24 hours') }} as errors_24h,
        (completeness.version_day + 1 - history.commissioned_on)::double precision as equipment_age_days,
        date_part('hour', completeness.minute at time zone equipment.time_zone)::smallint as hour_of_day,
        date_part('isodow', completeness.minute at time zone equipment.time_zone)::smallint as weekday,
        greatest(
            completeness.latest_available_at,
            {%- for measurement in measurements %}
            {{ measurement }}_measures.set_point_available_at,
            {%- endfor %}
            machine_days.available_at
        ) as available_at,
        pg_current_xact_id() as built_xid
    from targets
    inner join completeness on targets.equipment_id = completeness.equipment_id and targets.number = completeness.number
    inner join equipment on targets.equipment_id = equipment.equipment_id
    inner join history on targets.equipment_id = history.equipment_id
    left join machine_days
        on targets.equipment_id = machine_days.equipment_id and targets.number / 60 = machine_days.hour_number
    {%- for measurement in measurements %}
    left join measures as {{ measurement }}_measures
        on
            targets.equipment_id = {{ measurement }}_measures.equipment_id
            and targets.number = {{ measurement }}_measures.number
            and {{ measurement }}_measures.measurement = '{{ measurement }}'
    {%- endfor %}
)

select * from final
