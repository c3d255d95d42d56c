{{ config(
    tags=['minute'], incremental_strategy='append', full_refresh=false,
    indexes=[
        {'columns': ['version_day', 'equipment_id', 'measurement', 'position', 'regime'], 'unique': true},
        {'columns': ['built_xid']}
    ]
) }}

with hours as not materialized (
    select * from {{ ref('int_sensor_hours') }}
),

tags as (
    select
        tags.tag_id,
        tags.equipment_id,
        tags.measurement,
        tags.position,
        plants.time_zone
    from {{ ref('stg_tags') }} as tags
    inner join {{ ref('stg_equipment') }} as equipment on tags.equipment_id = equipment.equipment_id
    inner join {{ ref('stg_plants') }} as plants on equipment.plant_id = plants.plant_id
    where tags.role = 'measurement'
),

-- The version of yesterday, for every series; and older ones from the first closed day that this run changed, which
-- only a backfill brings. What exists stays as it is.
due as materialized (
    select
        series.equipment_id,
        series.measurement,
        series.position,
        series.last_closed_day,
        least(series.last_closed_day, coalesce(series.first_changed_day, series.last_closed_day)) as first_day
    from (
        select
            tags.equipment_id,
            tags.measurement,
            tags.position,
            max({{ plant_day("'" ~ moment() ~ "'::timestamptz", 'tags.time_zone') }}) - 1 as last_closed_day,
            min({{ plant_day('changed.hour', 'tags.time_zone') }}) as first_changed_day
        from tags
        left join (
            select
                hours.tag_id,
                min(hours.hour) as hour
            from hours
            {%- if is_update() %}
            where {{ built_in_this_run('hours.built_xid') }}
            {%- endif %}
            group by hours.tag_id
        ) as changed on tags.tag_id = changed.tag_id
        group by tags.equipment_id, tags.measurement, tags.position
    ) as series
),

versions as materialized (
    select
        due.equipment_id,
        due.measurement,
        due.position,
        due.first_day,
        version.day::date as version_day
    from due
    cross join lateral generate_series(due.first_day, due.last_closed_day, interval '1 day') as version (day)
    {%- if is_incremental() %}
    where not exists (
        select 1 from {{ this }} as frozen
        where
            frozen.version_day >= (select min(due.first_day) from due)
            and frozen.version_day = version.day::date
            and frozen.equipment_id = due.equipment_id
            and frozen.measurement = due.measurement
            and frozen.position = due.position
    )
    {%- endif %}
),

days as (
    select
        tags.equipment_id,
        tags.measurement,
        tags.position,
        hours.regime,
        {{ plant_day('hours.hour', 'tags.time_zone') }} as plant_day,
        sum(hours.minute_count) as minute_count,
        sum(hours.mean_sum) as mean_sum,
        sum(hours.mean_sumsq) as mean_sumsq
    from hours
    inner join tags on hours.tag_id = tags.tag_id
    where
        hours.minute_count > 0
        -- Nothing is due in most minutes, and months of hours aren't read to find that out.
        and exists (select 1 from versions)
        and hours.hour >= (
            select min(version_day) - {{ var('baseline_days') }} - 2 from versions
        )::timestamp at time zone 'UTC'
    group by
        tags.equipment_id, tags.measurement, tags.position, hours.regime,
        {{ plant_day('hours.hour', 'tags.time_zone') }}
),

pooled as (
    select
        versions.equipment_id,
        versions.measurement,
        versions.position,
        days.regime,
        versions.version_day,
        sum(days.minute_count)::integer as minute_count,
        sum(days.mean_sum) / sum(days.minute_count) as baseline_mean,
        sum(days.mean_sumsq) / sum(days.minute_count)
        - (sum(days.mean_sum) / sum(days.minute_count)) ^ 2 as variance
    from versions
    inner join days
        on
            versions.equipment_id = days.equipment_id
            and versions.measurement = days.measurement
            and versions.position = days.position
            and versions.version_day >= days.plant_day
            and versions.version_day - {{ var('baseline_days') }} < days.plant_day
    group by
        versions.equipment_id, versions.measurement, versions.position, days.regime, versions.version_day
)

-- The floor of the spread: half a percent of the mean, and a millionth where that is nothing. A signal that hardly
-- moves would else turn noise into large deviations.
select
    equipment_id,
    measurement,
    position,
    regime,
    version_day,
    minute_count,
    baseline_mean,
    greatest(sqrt(greatest(variance, 0)), 0.005 * abs(baseline_mean), 1e-6) as baseline_std,
    {{ built_xid() }} as built_xid
from pooled
where minute_count >= {{ var('baseline_min_minutes') }}
