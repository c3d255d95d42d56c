{{ config(materialized='view') }}
{#- Not ephemeral: dbt would have sqlparse take each model that reads it apart, every minute, and sqlparse refuses ten
    thousand tokens, which gold has with a few more measurements.

    For each table: its key, when a row begins and ends, what else of it a model reads, and what stretch it touches. -#}
{%- set watched = {
    'cmms_work_orders': {
        'rows': ref('stg_cmms_work_orders'), 'key': 'work_order_id', 'starts': 'started_at', 'ends': 'completed_at',
        'reads': ['kind', 'opened_at'], 'from': 'least(starts_at, ends_at)', 'to': "'infinity'::timestamptz"
    },
    'cmms_maintenance': {
        'rows': ref('stg_cmms_maintenance'), 'key': 'maintenance_id', 'starts': 'performed_at', 'ends': 'performed_at',
        'reads': ['component', 'kind'], 'from': 'starts_at', 'to': "'infinity'::timestamptz"
    },
    'cmms_failures': {
        'rows': ref('stg_cmms_failures'), 'key': 'failure_id', 'starts': 'failed_at', 'ends': 'repaired_at',
        'reads': [], 'from': 'starts_at', 'to': "greatest(starts_at, known_at) + interval '90 days'"
    },
    'cmms_errors': {
        'rows': ref('stg_cmms_errors'), 'key': 'error_id', 'starts': 'occurred_at', 'ends': 'occurred_at',
        'reads': [], 'from': 'starts_at', 'to': "greatest(starts_at, known_at) + interval '24 hours'"
    },
    'mes_schedules': {
        'rows': ref('stg_mes_schedules'), 'key': 'schedule_id', 'starts': 'starts_at', 'ends': 'ends_at',
        'reads': ['order_id', 'product', 'planned_state', 'planned_rate'], 'from': 'starts_at', 'to': 'ends_at'
    },
    'mes_shifts': {
        'rows': ref('stg_mes_shifts'), 'key': 'shift_id', 'starts': 'starts_at', 'ends': 'ends_at',
        'reads': ['shift', 'crew'], 'from': 'starts_at', 'to': 'ends_at'
    },
    'mes_production_orders': {
        'rows': ref('stg_mes_production_orders'), 'key': 'order_id', 'starts': 'planned_start', 'ends': 'planned_end',
        'reads': ['product', 'planned_rate', 'status', 'actual_start', 'actual_end'],
        'from': "least(starts_at, (record ->> 'actual_start')::timestamptz)",
        'to': "case when record ->> 'status' = 'running' then 'infinity'
            else greatest(ends_at, (record ->> 'actual_end')::timestamptz) end"
    },
    'sap_equipment': {
        'rows': ref('stg_sap_equipment'), 'key': 'equipment_id', 'starts': 'available_at', 'ends': 'available_at',
        'reads': ['commissioned_on', 'model', 'criticality'], 'from': "'-infinity'::timestamptz", 'to': "'infinity'::timestamptz"
    },
    'sensor_gaps': {
        'rows': 'gaps', 'key': 'gap_id', 'starts': 'from_ts', 'ends': 'to_ts',
        'reads': ['repaired'], 'from': 'starts_at',
        'to': "coalesce(ends_at, 'infinity') + interval '" ~ var('windows') | max ~ " minutes'"
    }
} %}

with former as (
    select * from {{ ref('stg_former_rows') }}
    where {{ new_in_reading_run('changed_xid') }}
),

equipment as (
    select * from {{ ref('stg_equipment') }}
),

tags as (
    select * from {{ ref('stg_tags') }}
),

-- By their names in raw, as former rows have them.
gaps as (
    select
        gap_id,
        tag_id,
        starts_at as from_ts,
        ends_at as to_ts,
        is_repaired as repaired,
        changed_xid as loaded_xid
    from {{ ref('stg_sensor_gaps') }}
),

-- What this run's rows say, and what those that they replaced said.
records as (
    {%- for table, its in watched.items() %}
    select
        '{{ table }}' as kind,
        false as is_former,
        to_jsonb(changed) as record
    from {{ its.rows }} as changed
    where {{ new_in_reading_run('changed.loaded_xid') }}
    union all
    {%- endfor %}
    select
        table_name as kind,
        true as is_former,
        former_row as record
    from former
),

dated as (
    {%- for table, its in watched.items() %}
    select
        kind,
        is_former,
        record,
        record ->> '{{ its.key }}' as row_key,
        (record ->> '{{ its.starts }}')::timestamptz as starts_at,
        (record ->> '{{ its.ends }}')::timestamptz as ends_at,
        (record ->> 'available_at')::timestamptz as known_at,
        jsonb_build_array(
            {%- for column in its.reads + ['equipment_id', 'tag_id', 'plant_id'] %}
            record -> '{{ column }}'{{ ',' if not loop.last }}
            {%- endfor %}
        ) as reads
    from records
    where kind = '{{ table }}'
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- A row that was written anew with nothing changed in what the models read touches nothing.
compared as (
    select
        *,
        bool_and(is_former) over same_row or not bool_or(is_former) over same_row
        or min(row(starts_at, ends_at, known_at, reads)::text) over same_row
        <> max(row(starts_at, ends_at, known_at, reads)::text) over same_row as is_changed
    from dated
    window same_row as (partition by kind, row_key)
),

stretches as (
    {%- for table, its in watched.items() %}
    select
        kind,
        record,
        {{ its.from }} as from_ts,
        {{ its.to }} as to_ts
    from compared
    where is_changed and kind = '{{ table }}'
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    equipment.equipment_id,
    tags.tag_id,
    stretches.kind,
    stretches.from_ts,
    stretches.to_ts
from stretches
left join tags
    on stretches.kind = 'sensor_gaps' and tags.tag_id = (stretches.record ->> 'tag_id')::integer
inner join equipment
    on
        equipment.equipment_id = coalesce(tags.equipment_id, stretches.record ->> 'equipment_id')
        or (
            stretches.kind = 'mes_shifts'
            and equipment.plant_id = coalesce(stretches.record ->> 'plant_id', equipment.plant_id)
        )
where stretches.from_ts < stretches.to_ts
