-- Why: a version is frozen for ever, so one that was made before its day had closed would keep half a day as a whole
-- one. No zone is further ahead than 14 hours.
select
    equipment_id,
    measurement,
    version_day
from {{ ref('int_baselines') }}
where version_day >= ('{{ moment() }}'::timestamptz at time zone 'UTC' + interval '14 hours')::date
