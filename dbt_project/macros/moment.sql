{#- The moment that the run works for: `--vars '{moment: 2026-01-31T12:00:00Z}'`, else the start of the invocation. -#}
{% macro moment() -%}
    {{ var('moment', run_started_at.isoformat()) }}
{%- endmacro %}
