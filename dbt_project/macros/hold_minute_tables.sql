{#- Pre-hook. One run at a time writes a table of the minute: of two, the one that had begun to compute first could write last,
    and put an older roll-up over a newer one. A minute of Millwright's holds all of them until it is done
    (`warehouse.transform`); any other run, a daily one or `dbt build` from the command line, holds them for the model that it
    is making. So a minute waits for one model at most, and its own models see none of another run in between. -#}
{% macro hold_minute_tables() -%}
    {%- if execute and 'minute' in model.tags and env_var('MILLWRIGHT_HOLDS_MINUTE', '') == '' -%}
        select
            pg_advisory_xact_lock_shared(hashtext('millwright minute')),
            pg_advisory_xact_lock(hashtext('millwright minute'), hashtext('{{ this }}'))
    {%- endif -%}
{%- endmacro %}
