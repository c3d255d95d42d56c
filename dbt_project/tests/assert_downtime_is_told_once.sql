-- Why: two stretches of downtime of one machine that overlap are counted twice in availability and OEE. Someone has to
-- decide which of them the MES should keep.
{{ config(severity='warn', store_failures=true) }}

select
    one.equipment_id,
    one.downtime_id,
    other.downtime_id as other_downtime_id,
    one.starts_at,
    one.ends_at
from {{ ref('stg_mes_downtime') }} as one
inner join {{ ref('stg_mes_downtime') }} as other
    on
        one.equipment_id = other.equipment_id
        and one.downtime_id < other.downtime_id
        and one.starts_at < coalesce(other.ends_at, 'infinity')
        and other.starts_at < coalesce(one.ends_at, 'infinity')
