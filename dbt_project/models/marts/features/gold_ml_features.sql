{{ config(
    tags=['minute'], unique_key=['equipment_id', 'window_end'],
    incremental_strategy='replace', partition_by='window_end',
    indexes=[{'columns': ['equipment_id', 'window_end'], 'unique': true}, {'columns': ['built_xid']}]
) }}
{%- set update = is_update() %}
{%- set block = var('windows')[0] %}
{%- set longer = var('windows')[1:] %}

with tag_minutes as not materialized (
    select * from {{ ref('int_sensor_minutes') }}
),

equipment_minutes as not materialized (
    select * from {{ ref('int_equipment_minutes') }}
),

baselines as (
    select * from {{ ref('int_baselines') }}
),

equipment as (
    select
        equipment.*,
        plants.time_zone
    from {{ ref('stg_equipment') }} as equipment
    inner join {{ ref('stg_plants') }} as plants on equipment.plant_id = plants.plant_id
),

tags as (
    select
        tags.*,
        count(*) over (partition by equipment_id, measurement) as tags_of_measurement
    from {{ ref('stg_tags') }} as tags
    where role = 'measurement'
),

assets as (
    select * from {{ ref('stg_sap_equipment') }}
),

{% if not update -%}
-- What the models learn faults from: failures, and the corrective work orders that came before one.
events as (
    select
        equipment_id,
        failed_at as event_at
    from {{ ref('stg_cmms_failures') }}
    union all
    select
        equipment_id,
        opened_at as event_at
    from {{ ref('stg_cmms_work_orders') }}
    where kind = 'corrective'
),

{% endif -%}
maintenance as (
    select
        equipment_id,
        array_agg(completed_at order by completed_at) as completions
    from {{ ref('stg_cmms_work_orders') }}
    where completed_at is not null
    group by equipment_id
),

{% if update -%}
-- A minute is seen by the windows that end in the hour after it, and by one more: whether the next minute is flat
-- depends on it.
targets as materialized (
    select distinct
        seen_from.equipment_id,
        seen_from.minute
    from (
        select
            equipment_id,
            minute
        from equipment_minutes
        where {{ built_in_this_run('built_xid') }}
    ) as changed
    cross join lateral (
        select
            equipment_minutes.equipment_id,
            equipment_minutes.minute
        from equipment_minutes
        where
            equipment_minutes.equipment_id = changed.equipment_id
            and changed.minute <= equipment_minutes.minute
            and equipment_minutes.minute <= changed.minute + interval '60 minutes'
        offset 0
    ) as seen_from
),
{%- else -%}
-- A first build that someone waits for: of the last days every minute or, before the dense ones, the last of each
-- stride; and of the time before them the day that led up to each event.
targets as materialized (
    select
        equipment_minutes.equipment_id,
        equipment_minutes.minute
    from equipment_minutes
    left join (
        select distinct
            events.equipment_id,
            covered.hour
        from events
        cross join lateral generate_series(
            date_trunc('hour', events.event_at - interval '{{ var("event_hours") }} hours'),
            events.event_at,
            interval '1 hour'
        ) as covered (hour)
    ) as led_up
        on
            equipment_minutes.equipment_id = led_up.equipment_id
            and date_trunc('hour', equipment_minutes.minute) = led_up.hour
    where
        led_up.hour is not null
        or (
            equipment_minutes.minute >= '{{ moment() }}'::timestamptz - interval '{{ var("gold_days") }} days'
            and (
                equipment_minutes.minute
                >= '{{ moment() }}'::timestamptz - interval '{{ var("gold_dense_days") }} days'
                or {{ minute_number('equipment_minutes.minute') }} % {{ var('gold_stride') }}
                = {{ var('gold_stride') - 1 }}
            )
        )
),
{%- endif %}

-- The hours that those windows reach into.
hours as materialized (
    select distinct
        targets.equipment_id,
        date_trunc('hour', targets.minute - reach.back) as hour
    from targets
    cross join (values (interval '0 minutes'), (interval '60 minutes')) as reach (back)
),

{% if update -%}
-- Index probes by machine and by tag, fenced: the planner can't know that this run touched few hours.
wanted as materialized (
    select minutes_of_hour.*
    from hours
    cross join lateral (
        select * from equipment_minutes
        where
            equipment_minutes.equipment_id = hours.equipment_id
            and hours.hour <= equipment_minutes.minute
            and equipment_minutes.minute < hours.hour + interval '1 hour'
        offset 0
    ) as minutes_of_hour
),

readings as (
    select minutes_of_hour.*
    from hours
    inner join tags on hours.equipment_id = tags.equipment_id
    cross join lateral (
        select * from tag_minutes
        where
            tag_minutes.tag_id = tags.tag_id
            and hours.hour <= tag_minutes.minute
            and tag_minutes.minute < hours.hour + interval '1 hour'
        offset 0
    ) as minutes_of_hour
),
{%- else -%}
wanted as materialized (
    select equipment_minutes.*
    from equipment_minutes
    inner join hours
        on
            equipment_minutes.equipment_id = hours.equipment_id
            and date_trunc('hour', equipment_minutes.minute) = hours.hour
),

readings as (
    select tag_minutes.*
    from tag_minutes
    inner join tags on tag_minutes.tag_id = tags.tag_id
    inner join hours
        on tags.equipment_id = hours.equipment_id and date_trunc('hour', tag_minutes.minute) = hours.hour
),
{%- endif %}

-- Minute means with their distance from the baseline of the regime that the machine was in.
measured as (
    select
        tags.equipment_id,
        tags.measurement,
        tags.tags_of_measurement,
        tags.position,
        {{ minute_number('readings.minute') }} as minute,
        readings.value_mean as mean,
        readings.value_min as low,
        readings.value_max as high,
        readings.good_count,
        (readings.value_mean - baselines.baseline_mean) / baselines.baseline_std as deviation
    from wanted
    inner join tags on wanted.equipment_id = tags.equipment_id
    inner join readings on tags.tag_id = readings.tag_id and wanted.minute = readings.minute
    inner join equipment on wanted.equipment_id = equipment.equipment_id
    left join baselines
        on
            tags.equipment_id = baselines.equipment_id
            and tags.measurement = baselines.measurement
            and tags.position = baselines.position
            and wanted.regime = baselines.regime
            and baselines.version_day = {{ plant_day('wanted.minute', 'equipment.time_zone') }} - 1
    where
        readings.value_mean is not null
        and tags.measurement in (
            {%- for measurement in var('measurements') %}
            '{{ measurement }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )
),

-- One row per equipment, measurement and minute. Where there is one tag nothing has to be combined, which spares the
-- most of the work; of several positions each may be the stuck one.
combined as (
    select
        equipment_id,
        measurement,
        minute,
        mean,
        mean as mean_min,
        mean as mean_max,
        deviation,
        low,
        high,
        good_count,
        null::integer as position_flat
    from measured
    where tags_of_measurement = 1
    union all
    select
        equipment_id,
        measurement,
        minute,
        avg(mean) as mean,
        min(mean) as mean_min,
        max(mean) as mean_max,
        case when max(deviation) >= -min(deviation) then max(deviation) else min(deviation) end as deviation,
        null as low,
        null as high,
        null as good_count,
        max(is_flat) as position_flat
    from (
        select
            *,
            {{ flat('low', 'high', 'good_count', 'minute', 'by_tag') }} as is_flat
        from measured
        where tags_of_measurement > 1
        window by_tag as (partition by equipment_id, measurement, position order by minute)
    ) as positions
    group by equipment_id, measurement, minute
),

-- Every minute of the hours at hand has a row, so that windows keep their length over gaps.
grid as (
    select
        hours.equipment_id,
        series.measurement,
        {{ minute_number('hours.hour') }} + step.nth as minute,
        step.nth % {{ block }} as phase,
        step.nth
    from hours
    inner join (
        select distinct
            equipment_id,
            measurement
        from tags
    ) as series
        on hours.equipment_id = series.equipment_id
    cross join generate_series(0, 59) as step (nth)
),

flagged as (
    select
        grid.equipment_id,
        grid.measurement,
        grid.minute,
        grid.phase,
        combined.mean,
        combined.mean_min,
        combined.mean_max,
        combined.deviation,
        coalesce(
            combined.position_flat,
            {{ flat('combined.low', 'combined.high', 'combined.good_count', 'grid.minute', 'in_order') }}
        ) as is_flat
    from grid
    left join combined
        on
            grid.equipment_id = combined.equipment_id
            and grid.measurement = combined.measurement
            and grid.minute = combined.minute
    window in_order as (partition by grid.equipment_id, grid.measurement order by grid.minute)
),

-- The shortest window from minutes; the longer ones from it, at every {{ block }}th minute, so that 60 minutes cost 12
-- steps and not 60. Frames are summed anew for each row: the result does not depend on which rows were built before.
blocks as (
    select
        equipment_id,
        measurement,
        minute,
        phase,
        count(mean) over w as mean_n,
        sum(mean) over w as mean_sum,
        sum(mean * mean) over w as mean_sumsq,
        min(mean_min) over w as mean_min,
        max(mean_max) over w as mean_max,
        count(deviation) over w as deviation_n,
        sum(deviation) over w as deviation_sum,
        sum(is_flat) over w as flat_minutes
    from flagged
    window w as (
        partition by equipment_id, measurement
        order by minute range between {{ block - 1 }} preceding and current row
    )
),

windowed as (
    select
        *,
        {%- for window in longer %}
        sum(mean_n) over w{{ window }} as mean_n_{{ window }},
        sum(mean_sum) over w{{ window }} as mean_sum_{{ window }},
        sum(mean_sumsq) over w{{ window }} as mean_sumsq_{{ window }},
        min(mean_min) over w{{ window }} as mean_min_{{ window }},
        max(mean_max) over w{{ window }} as mean_max_{{ window }},
        sum(deviation_n) over w{{ window }} as deviation_n_{{ window }},
        sum(deviation_sum) over w{{ window }} as deviation_sum_{{ window }},
        {%- endfor %}
        regr_slope(mean_sum / nullif(mean_n, 0), minute) over w60 * 60 as slope,
        sum(flat_minutes) over w60 as flat_minutes_60
    from blocks
    window
        {%- for window in longer %}
        w{{ window }} as (
            partition by equipment_id, measurement, phase
            order by minute range between {{ window - block }} preceding and current row
        ){{ ',' if not loop.last }}
        {%- endfor %}
),

features as (
    select
        equipment_id,
        measurement,
        minute,
        array[
            {%- for window in var('windows') %}
            {%- set suffix = '' if loop.first else '_' ~ window %}
            mean_sum{{ suffix }} / nullif(mean_n{{ suffix }}, 0),
            {{ spread('mean_n' ~ suffix, 'mean_sum' ~ suffix, 'mean_sumsq' ~ suffix) }},
            mean_min{{ suffix }},
            mean_max{{ suffix }},
            deviation_sum{{ suffix }} / nullif(deviation_n{{ suffix }}, 0),
            {%- endfor %}
            slope,
            case when mean_n_60 > 0 then coalesce(flat_minutes_60, 0) end
        ]::double precision[] as feature
    from windowed
),

-- One array per measurement and minute, then columns: a pivot with 8 aggregates where one a column would be 136.
pivoted as (
    select
        equipment_id,
        minute,
        {%- for measurement in var('measurements') %}
        any_value(feature) filter (where measurement = '{{ measurement }}')
            as {{ measurement }}{{ ',' if not loop.last }}
        {%- endfor %}
    from features
    group by equipment_id, minute
),

completeness as (
    select
        *,
        sum(tags_reported) over last_hour as tag_minutes,
        60 * max(tags_reported) over last_hour as tag_minutes_expected,
        sum(reading_count) over last_hour as readings,
        sum(good_count) over last_hour as good_readings,
        max(available_at) over last_hour as latest_available_at
    from (select *, {{ minute_number('minute') }} as minute_number from wanted) as numbered
    window last_hour as (
        partition by equipment_id order by minute_number range between 59 preceding and current row
    )
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
        {%- for measurement in var('measurements') %}
        {%- for column in feature_columns(measurement) %}
        pivoted.{{ measurement }}[{{ loop.index }}]
        {%- if column.endswith('flat_minutes') %}::smallint{% endif %} as {{ column }},
        {%- endfor %}
        {%- endfor %}
        pivoted.temperature[1] * pivoted.vibration[1] as temperature_x_vibration,
        1 - completeness.good_readings::double precision / nullif(completeness.readings, 0) as bad_share_60m,
        1 - completeness.tag_minutes::double precision / nullif(completeness.tag_minutes_expected, 0)
            as missing_share_60m,
        coalesce(completeness.tag_minutes < 0.95 * completeness.tag_minutes_expected, true) as over_gap,
        date_part('epoch', completeness.minute + interval '1 minute' - maintenance.completions[
            nullif(width_bucket(completeness.minute + interval '1 minute', maintenance.completions), 0)
        ]) / 3600 as hours_since_maintenance,
        ({{ plant_day('completeness.minute', 'equipment.time_zone') }} - assets.commissioned_on)::double precision
            as equipment_age_days,
        date_part('hour', completeness.minute at time zone equipment.time_zone)::smallint as hour_of_day,
        date_part('isodow', completeness.minute at time zone equipment.time_zone)::smallint as weekday,
        completeness.latest_available_at as available_at,
        pg_current_xact_id() as built_xid
    from completeness
    inner join targets on completeness.equipment_id = targets.equipment_id and completeness.minute = targets.minute
    inner join equipment on completeness.equipment_id = equipment.equipment_id
    left join pivoted
        on completeness.equipment_id = pivoted.equipment_id and completeness.minute_number = pivoted.minute
    left join assets on completeness.equipment_id = assets.equipment_id
    left join maintenance on completeness.equipment_id = maintenance.equipment_id
)

select * from final
