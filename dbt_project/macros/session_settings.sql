{#- Pre-hook. The planner can't foresee a run: the plant's tables (ingest owns them) are analyzed late or never, and
    statistics end before the newest minute, so that it takes what a run touches for one row and nests loops over
    thousands. So joins are hash joins in the order in which they are written, and what has to be an index probe is a
    lateral subquery with `offset 0`, which can't be anything else.

    A view can't name the run that reads it: `new_in_reading_run` finds the run's range in the session's settings. And a
    query can't have what is known only once it has waited for its table: `built_xid`, the transaction that writes. -#}
{% macro session_settings() -%}
    set local work_mem = '256MB'
    ; set local enable_nestloop = off; set local enable_mergejoin = off
    ; set local join_collapse_limit = 1; set local from_collapse_limit = 1
    ; select
        set_config('millwright.since', since::text, true), set_config('millwright.until', until::text, true),
        set_config('millwright.built_xid', pg_current_xact_id()::text, true)
    from ops.transform_runs where run_id = '{{ invocation_id }}'
{%- endmacro %}
