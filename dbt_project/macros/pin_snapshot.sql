{#- Pins what this run reads: everything that `until` sees and `since` did not. One range a run, read by every model
    through `run_range()`. `since` is NULL on the first run, and in a cluster other than the one the watermark was
    taken in (a restore): then everything is read again. -#}
{% macro pin_snapshot() -%}
    insert into ops.transform_runs (run_id, since, until, moment)
    select
        '{{ invocation_id }}',
        (
            select w.snapshot from ops.watermarks as w
            where w.pipeline = 'transform' and w.system_identifier = (select system_identifier from pg_control_system())
        ),
        pg_current_snapshot(),
        '{{ moment() }}'::timestamptz
{%- endmacro %}
