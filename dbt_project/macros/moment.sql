{#- The moment that the run works for: `--vars '{moment: 2026-01-31T12:00:00Z}'`, else the environment's
    MILLWRIGHT_MOMENT, which `python -m warehouse transform` sets, else the start of the invocation. The environment is
    read when a model runs and not when it is parsed, or dbt would parse anew what names another moment. -#}
{% macro moment() -%}
    {%- set started = run_started_at.isoformat() -%}
    {{ var('moment', env_var('MILLWRIGHT_MOMENT', started) if execute else started) }}
{%- endmacro %}
