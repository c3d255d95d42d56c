{#- `new_in_this_run` for a view, which outlives the run that made it: of the run whose model reads it, by the settings that
    `session_settings` makes. Never true in another session. -#}
{% macro new_in_reading_run(column) -%}
    {%- set since = "nullif(current_setting('millwright.since', true), '')::pg_snapshot" -%}
    {%- set until = "nullif(current_setting('millwright.until', true), '')::pg_snapshot" -%}
    {{ column }} >= pg_snapshot_xmin({{ since }})
    and not pg_visible_in_snapshot({{ column }}, {{ since }})
    and pg_visible_in_snapshot({{ column }}, {{ until }})
{%- endmacro %}
