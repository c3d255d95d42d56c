{{ config(
    tags=['minute'], unique_key=['tag_id', 'window_end'],
    incremental_strategy='replace', partition_by='window_end', partition_days=var('silver_days'),
    indexes=[{'columns': ['tag_id', 'window_end'], 'unique': true}, {'columns': ['built_xid']}]
) }}
{%- set update = is_update() %}
{%- set context_changes = ref('int_context_changes') %}

with tag_minutes as not materialized (
    select * from {{ ref('int_sensor_minutes') }}
    {%- if not update %}
    where minute >= '{{ moment() }}'::timestamptz - interval '{{ var("silver_days") }} days'
    {%- endif %}
),

baselines as not materialized (
    select * from {{ ref('int_baselines') }}
),

{% if update -%}
-- What else a row says than its own minute: baselines that came after it, and what enterprise systems told late.
changed as materialized (
    select
        baselines.equipment_id,
        (baselines.version_day + 1)::timestamp at time zone equipment.time_zone as from_ts,
        (baselines.version_day + 2)::timestamp at time zone equipment.time_zone as to_ts
    from baselines
    inner join {{ ref('int_equipment_assets') }} as equipment on baselines.equipment_id = equipment.equipment_id
    where {{ baselines_to_follow('baselines.built_xid') }}
    union
    select
        equipment_id,
        from_ts - interval '1 minute' as from_ts,
        to_ts
    from {{ context_changes }}
    where
        kind in (
            'cmms_work_orders', 'cmms_maintenance', 'mes_schedules', 'mes_shifts', 'mes_production_orders',
            'sap_equipment_class'
        )
),

-- What changed for ever touches the rows that there are: what retention has dropped stays away.
written as materialized (
    select distinct
        changed.equipment_id,
        rows_of_tag.window_end - interval '1 minute' as minute
    from changed
    inner join {{ ref('int_tag_context') }} as tags on changed.equipment_id = tags.equipment_id
    cross join lateral (
        select window_end from {{ this }}
        where
            tag_id = tags.tag_id
            and changed.from_ts + interval '1 minute' <= window_end
            and window_end < changed.to_ts + interval '1 minute'
        offset 0
    ) as rows_of_tag
),

equipment_minutes as (
    select * from {{ ref('int_equipment_minutes') }}
    where {{ built_in_this_run() }}
    union
    select probed.*
    from written
    cross join lateral (
        select * from {{ ref('int_equipment_minutes') }} as minutes
        where minutes.equipment_id = written.equipment_id and minutes.minute = written.minute
        offset 0
    ) as probed
),
{%- else -%}
equipment_minutes as (
    select * from {{ ref('int_equipment_minutes') }}
    where minute >= '{{ moment() }}'::timestamptz - interval '{{ var("silver_days") }} days'
),
{%- endif %}

-- Of the days at hand: there are months of them.
baselines_held as (
    select * from baselines
    where version_day >= (select (min(minute) at time zone 'UTC')::date - 2 from equipment_minutes)
),

tags as (
    select * from {{ ref('int_tag_context') }}
    where role <> 'counter'
),

equipment as (
    select * from {{ ref('int_equipment_assets') }}
),

history as (
    select
        equipment_id,
        services_known_at,
        services
    from {{ ref('int_equipment_history') }}
    where services is not null
),

shift_minutes as (
    select
        spread.plant_id,
        spread.minute,
        shift_at.shift,
        shift_at.crew
    from (
        select distinct
            equipment.plant_id,
            equipment_minutes.minute
        from equipment_minutes
        inner join equipment on equipment_minutes.equipment_id = equipment.equipment_id
    ) as spread
    cross join lateral (
        select
            shift,
            crew
        from {{ ref('int_plant_shifts') }}
        where plant_id = spread.plant_id and starts_at <= spread.minute and spread.minute < ends_at
        order by starts_at desc, shift_id
        limit 1
    ) as shift_at
),

-- What a machine has from its first minute to its last, probed once; and of that what held at each.
orders_held as (
    select held.*
    from (
        select
            equipment_id,
            min(minute) as first_minute,
            max(minute) as last_minute
        from equipment_minutes
        group by equipment_id
    ) as covered
    cross join lateral (
        select * from {{ ref('int_scheduled_orders') }} as orders
        where
            orders.equipment_id = covered.equipment_id
            and orders.starts_at <= covered.last_minute
            and covered.first_minute < orders.ends_at
        offset 0
    ) as held
),

order_minutes as (
    select distinct on (equipment_minutes.equipment_id, equipment_minutes.minute)
        equipment_minutes.equipment_id,
        equipment_minutes.minute,
        orders_held.order_id,
        orders_held.product
    from orders_held
    inner join equipment_minutes
        on
            orders_held.equipment_id = equipment_minutes.equipment_id
            and orders_held.starts_at <= equipment_minutes.minute
            and orders_held.ends_at > equipment_minutes.minute
    order by
        equipment_minutes.equipment_id, equipment_minutes.minute,
        orders_held.is_actual desc, orders_held.starts_at desc
),

context as {{ 'materialized' if update }} (
    select
        equipment_minutes.*,
        shift_minutes.shift,
        shift_minutes.crew,
        order_minutes.order_id,
        order_minutes.product,
        {{ hours_since_service('equipment_minutes.minute') }} / 24 as days_since_maintenance
    from equipment_minutes
    inner join equipment on equipment_minutes.equipment_id = equipment.equipment_id
    left join shift_minutes
        on equipment.plant_id = shift_minutes.plant_id and equipment_minutes.minute = shift_minutes.minute
    left join history on equipment_minutes.equipment_id = history.equipment_id
    left join order_minutes
        on
            equipment_minutes.equipment_id = order_minutes.equipment_id
            and equipment_minutes.minute = order_minutes.minute
),

final as (
    select
        tags.tag_id,
        tag_minutes.minute + interval '1 minute' as window_end,
        tags.equipment_id,
        tags.measurement,
        tags.position,
        tags.unit,
        tag_minutes.reading_count,
        tag_minutes.good_count,
        tag_minutes.value_mean,
        {{ spread('tag_minutes.good_count', 'tag_minutes.value_sum', 'tag_minutes.value_sumsq') }} as value_std,
        tag_minutes.value_min,
        tag_minutes.value_max,
        tag_minutes.value_first,
        tag_minutes.value_last,
        tag_minutes.text_last,
        context.run_state,
        context.is_running,
        context.in_maintenance,
        context.load_ratio,
        context.regime,
        {{ normal_at_load('baselines_held', 'context.load_ratio') }} as baseline_mean,
        baselines_held.baseline_std,
        (tag_minutes.value_mean - {{ normal_at_load('baselines_held', 'context.load_ratio') }})
        / baselines_held.baseline_std as z_score,
        tags.warning_low,
        tags.warning_high,
        tags.critical_low,
        tags.critical_high,
        case
            when tag_minutes.value_max > tags.critical_high or tag_minutes.value_min < tags.critical_low
                then 'critical'
            when tag_minutes.value_max > tags.warning_high or tag_minutes.value_min < tags.warning_low
                then 'warning'
        end as limit_exceeded,
        tag_minutes.good_count < tag_minutes.reading_count as has_bad_readings,
        tag_minutes.gap_seconds::double precision as gap_seconds,
        tag_minutes.gap_seconds > 0 as has_gap,
        context.shift,
        context.crew,
        context.order_id,
        context.product,
        tags.model as asset_model,
        tags.criticality as asset_criticality,
        context.days_since_maintenance,
        tag_minutes.available_at,
        pg_current_xact_id() as built_xid
    from context
    inner join tags on context.equipment_id = tags.equipment_id
    {%- if update %}
    cross join lateral (
        select * from tag_minutes as probed
        where probed.tag_id = tags.tag_id and probed.minute = context.minute
        offset 0
    ) as tag_minutes
    {%- else %}
    inner join tag_minutes on tags.tag_id = tag_minutes.tag_id and context.minute = tag_minutes.minute
    {%- endif %}
    left join baselines_held
        on
            tags.equipment_id = baselines_held.equipment_id
            and tags.measurement = baselines_held.measurement
            and tags.position = baselines_held.position
            and context.regime = baselines_held.regime
            and context.is_running and not context.in_maintenance
            and baselines_held.version_day = {{ plant_day('context.minute', 'tags.time_zone') }} - 1
)

select * from final
