-- Why: a version is frozen for ever, so one that was made before its day had closed would keep half a day as a whole
-- one. No zone is further ahead than 14 hours; a run for a moment of the past finds later versions there by right.
select
    equipment_id,
    measurement,
    version_day
from {{ ref('int_baselines') }}
where version_day >= (greatest('{{ moment() }}'::timestamptz, now()) at time zone 'UTC' + interval '14 hours')::date
