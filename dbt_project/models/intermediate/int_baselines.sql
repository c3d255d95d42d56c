{{ config(
    tags=['minute'], incremental_strategy='append', full_refresh=false,
    pre_hook="update ops.transform_runs set baselines_xid = pg_current_xact_id() where run_id = '{{ invocation_id }}'",
    indexes=[
        {'columns': ['version_day', 'equipment_id', 'measurement', 'position', 'regime'], 'unique': true},
        {'columns': ['built_xid']}
    ]
) }}
{%- set watermarks = ref('stg_ops_watermarks') %}
{%- set plants = ref('stg_plants') %}
{%- set first_hour = "(select min(version_day) - " ~ (var('baseline_days') + 2) ~ " from versions)::timestamp at time zone 'UTC'" %}
{%- set noise = "(" ~ var('load_noise') ~ " ^ 2)" %}
{%- set of_load = ['load_count', 'load_mean', 'load_value_mean', 'load_m2', 'load_comoment'] %}
{#- A day ends for every series at once. In any other minute few are due, and mostly none. #}
{%- set all_due = not is_update() or day_has_closed(watermarks, plants) %}

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
    inner join {{ plants }} as plants on equipment.plant_id = plants.plant_id
    where tags.role = 'measurement'
),

-- The version of yesterday, for every series in the first run after it; and those from the first closed day that this run
-- changed, which only late data does. What exists stays as it is. What had too few minutes for a version isn't asked
-- for again until its hours change.
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
        {{ 'left' if all_due else 'inner' }} join (
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
    {%- if not all_due %}
    where series.first_changed_day <= series.last_closed_day
    {%- endif %}
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

due_tags as materialized (
    select tags.*
    from tags
    inner join (
        select distinct
            equipment_id,
            measurement,
            position
        from versions
    ) as series
        on
            tags.equipment_id = series.equipment_id
            and tags.measurement = series.measurement
            and tags.position = series.position
),

due_hours as (
    {%- if all_due %}
    select
        due_tags.*,
        hours.hour,
        hours.regime,
        hours.minute_count,
        hours.mean_sum,
        hours.mean_sumsq,
        {%- for column in of_load %}
        hours.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from hours
    inner join due_tags on hours.tag_id = due_tags.tag_id
    where
        hours.hour >= {{ first_hour }}
        -- Where no version is missing after all, months of hours aren't read to find that out.
        and exists (select 1 from versions)
    {%- else %}
    select
        due_tags.*,
        hours_of_tag.*
    from due_tags
    cross join lateral (
        select
            hours.hour,
            hours.regime,
            hours.minute_count,
            hours.mean_sum,
            hours.mean_sumsq,
            {%- for column in of_load %}
            hours.{{ column }}{{ ',' if not loop.last }}
            {%- endfor %}
        from hours
        where hours.tag_id = due_tags.tag_id and hours.hour >= {{ first_hour }}
        offset 0
    ) as hours_of_tag
    {%- endif %}
),

-- The hours about a fault, which is not normal operation for the versions that close from when it was known on.
faulty_hours as materialized (
    select
        faults.equipment_id,
        covered.hour,
        min(faults.known_at) as known_at
    from {{ ref('int_faults') }} as faults
    cross join lateral generate_series(
        {{ utc_hour("faults.fault_at - interval '" ~ var('fault_hours') ~ " hours'") }},
        faults.fault_at + interval '{{ var("fault_hours") }} hours',
        interval '1 hour'
    ) as covered (hour)
    -- Here as well: a minute reads no faults for nothing.
    where faults.fault_at >= {{ first_hour }} and exists (select 1 from versions)
    group by faults.equipment_id, covered.hour
),

days as (
    select
        due_hours.equipment_id,
        due_hours.measurement,
        due_hours.position,
        due_hours.regime,
        {{ plant_day('due_hours.hour', 'due_hours.time_zone') }} as plant_day,
        {{ plant_day('faulty_hours.known_at', 'due_hours.time_zone') }} as fault_known_on,
        sum(minute_count) as minute_count,
        sum(mean_sum) as mean_sum,
        sum(mean_sumsq) as mean_sumsq,
        sum(load_count) as load_count,
        sum(load_count * load_mean) as load_sum,
        sum(load_count * load_value_mean) as load_value_sum,
        sum(load_m2 + load_count * load_mean * load_mean) as load_sumsq,
        sum(load_comoment + load_count * load_mean * load_value_mean) as load_product_sum
    from due_hours
    left join faulty_hours on due_hours.equipment_id = faulty_hours.equipment_id and due_hours.hour = faulty_hours.hour
    where due_hours.minute_count > 0
    group by
        due_hours.equipment_id, due_hours.measurement, due_hours.position, due_hours.regime,
        {{ plant_day('due_hours.hour', 'due_hours.time_zone') }},
        {{ plant_day('faulty_hours.known_at', 'due_hours.time_zone') }}
),

-- Versions of machines that ran about faults for most of their time, a young one's after its first failure: they have
-- hardly anything else.
mostly_faulty as materialized (
    select
        machine_versions.equipment_id,
        machine_versions.version_day
    from (
        select distinct
            equipment_id,
            version_day
        from versions
    ) as machine_versions
    inner join (
        select
            equipment_id,
            plant_day,
            fault_known_on,
            sum(minute_count) as minute_count
        from days
        group by equipment_id, plant_day, fault_known_on
    ) as machine_days
        on
            machine_versions.equipment_id = machine_days.equipment_id
            and machine_versions.version_day >= machine_days.plant_day
            and machine_versions.version_day - {{ var('baseline_days') }} < machine_days.plant_day
    group by machine_versions.equipment_id, machine_versions.version_day
    having
        2 * sum(machine_days.minute_count) filter (
            where machine_versions.version_day >= machine_days.fault_known_on
        ) > sum(machine_days.minute_count)
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
        - (sum(days.mean_sum) / sum(days.minute_count)) ^ 2 as variance,
        sum(days.load_count)::double precision as load_count,
        sum(days.load_sum) / nullif(sum(days.load_count), 0) as load_mean,
        sum(days.load_sumsq) - sum(days.load_sum) ^ 2 / nullif(sum(days.load_count), 0) as load_m2,
        sum(days.load_product_sum) - sum(days.load_sum) * sum(days.load_value_sum) / nullif(sum(days.load_count), 0)
            as load_comoment
    from versions
    inner join days
        on
            versions.equipment_id = days.equipment_id
            and versions.measurement = days.measurement
            and versions.position = days.position
            and versions.version_day >= days.plant_day
            and versions.version_day - {{ var('baseline_days') }} < days.plant_day
    left join mostly_faulty
        on versions.equipment_id = mostly_faulty.equipment_id and versions.version_day = mostly_faulty.version_day
    where (versions.version_day >= days.fault_known_on) is not true or mostly_faulty.equipment_id is not null
    group by
        versions.equipment_id, versions.measurement, versions.position, days.regime, versions.version_day
),

-- Least squares on the load, within regimes: one slope for all of a series', where loads differ by more than chance.
common as (
    select
        *,
        case when sum(load_m2) over series > sum(load_count) over series * {{ noise }}
            then sum(load_comoment) over series / sum(load_m2) over series
        end as common_slope
    from pooled
    window series as (partition by equipment_id, measurement, position, version_day)
),

-- A regime has a slope of its own as far as its loads differ; else that of all.
lines as (
    select
        *,
        (load_comoment + load_count * {{ noise }} * common_slope) / (load_m2 + load_count * {{ noise }}) as load_slope
    from common
)

-- Minutes whose load isn't known, those from before hours had moments of it among them, count as of the mean load, where
-- the line goes through the mean: their spread stays whole. The floor of the spread is half a percent of the mean, and a
-- millionth where that is nothing. A signal that hardly moves would else turn noise into large deviations.
select
    equipment_id,
    measurement,
    position,
    regime,
    version_day,
    minute_count,
    baseline_mean,
    greatest(
        sqrt(greatest(
            variance - coalesce(load_slope * (2 * load_comoment - load_slope * load_m2) / minute_count, 0), 0
        )),
        0.005 * abs(baseline_mean),
        1e-6
    ) as baseline_std,
    load_mean,
    load_slope,
    {{ built_xid() }} as built_xid
from lines
where minute_count >= {{ var('baseline_min_minutes') }}
