-- Why: a plant whose clock runs ahead would have its windows scored before they are over. A minute that is under way
-- ends at most one minute after the run's moment; a server's clock may be a minute off.
{{ config(severity='warn', store_failures=true) }}

select
    equipment_id,
    window_end
from {{ ref('gold_ml_features') }}
where window_end > greatest('{{ moment() }}'::timestamptz, now()) + interval '2 minutes'
