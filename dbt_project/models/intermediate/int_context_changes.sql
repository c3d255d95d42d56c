{{ config(materialized='view') }}
{#- Not ephemeral: dbt would have sqlparse take each model that reads it apart, every minute, and sqlparse refuses ten
    thousand tokens, which gold has with a few more measurements.

    For each kind: its table if that isn't its name, the key, when a row begins and ends, what else of it a model reads,
    what stretch it touches, and until when it covers a machine's minutes if that is less. When a row became known
    counts, but for master data: an export that states it again with a new date has changed nothing. -#}
{%- set watched = {
    'cmms_work_orders': {
        'rows': ref('stg_cmms_work_orders'), 'key': 'work_order_id', 'starts': 'started_at', 'ends': 'completed_at',
        'reads': ['kind', 'opened_at'], 'from': 'least(starts_at, ends_at)', 'to': "'infinity'::timestamptz",
        'covers_to': "coalesce(ends_at, 'infinity')"
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
        'rows': ref('stg_sap_equipment'), 'key': 'equipment_id', 'starts': 'commissioned_on', 'ends': 'commissioned_on',
        'reads': [], 'from': "'-infinity'::timestamptz", 'to': "'infinity'::timestamptz", 'is_master_data': true
    },
    'sap_equipment_class': {
        'table': 'sap_equipment', 'key': 'equipment_id', 'starts': none, 'ends': none,
        'reads': ['model', 'criticality'], 'from': "'-infinity'::timestamptz", 'to': "'infinity'::timestamptz",
        'is_master_data': true
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
    {%- for table, its in watched.items() if its.rows %}
    select
        '{{ table }}' as table_name,
        false as is_former,
        to_jsonb(changed) as record
    from {{ its.rows }} as changed
    where {{ new_in_reading_run('changed.loaded_xid') }}
    union all
    {%- endfor %}
    select
        table_name,
        true as is_former,
        former_row as record
    from former
),

dated as (
    {%- for kind, its in watched.items() %}
    select
        '{{ kind }}' as kind,
        is_former,
        record,
        record ->> '{{ its.key }}' as row_key,
        {{ "(record ->> '" ~ its.starts ~ "')" if its.starts else 'null' }}::timestamptz as starts_at,
        {{ "(record ->> '" ~ its.ends ~ "')" if its.ends else 'null' }}::timestamptz as ends_at,
        {{ 'null' if its.is_master_data else "(record ->> 'available_at')" }}::timestamptz as known_at,
        jsonb_build_array(
            {%- for column in its.reads + ['equipment_id', 'tag_id', 'plant_id'] %}
            record -> '{{ column }}'{{ ',' if not loop.last }}
            {%- endfor %}
        ) as reads
    from records
    where table_name = '{{ its.table or kind }}'
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
    {%- for kind, its in watched.items() %}
    select
        kind,
        record,
        {{ its.from }} as from_ts,
        {{ its.to }} as to_ts,
        {{ its.covers_to or its.to }} as covers_to
    from compared
    where is_changed and kind = '{{ kind }}'
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    equipment.equipment_id,
    tags.tag_id,
    stretches.kind,
    stretches.from_ts,
    stretches.to_ts,
    stretches.covers_to
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
