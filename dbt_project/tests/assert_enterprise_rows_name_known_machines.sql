-- Why: a work order, count or failure under an id that the plant file doesn't have is joined by nothing: the machine's
-- maintenance and downtime are silently missing from its features and its OEE. Someone has to correct the id in the
-- export's map or in the plant file. `quality.assert_enterprise_rows_name_known_machines` lists the ids.
{{ config(severity='warn', store_failures=true) }}

{%- set models = [
    ref('stg_mes_schedules'), ref('stg_mes_quality_inspections'), ref('stg_mes_production_orders'),
    ref('stg_mes_production_counts'), ref('stg_mes_downtime'), ref('stg_sap_equipment'), ref('stg_cmms_work_orders'),
    ref('stg_cmms_failures'), ref('stg_cmms_maintenance'), ref('stg_cmms_errors')
] %}

with named as (
    {%- for model in models %}
    select
        '{{ model.identifier }}' as model,
        equipment_id,
        count(*) as row_count
    from {{ model }}
    group by equipment_id
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select named.*
from named
left join {{ ref('stg_equipment') }} as equipment on named.equipment_id = equipment.equipment_id
where equipment.equipment_id is null
