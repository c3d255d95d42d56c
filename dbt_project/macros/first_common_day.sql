{#- Condition of a join of two relations of stretches by `day` (see `utc_days`): they overlap, and this day is the first
    that both touch. -#}
{% macro first_common_day(one, other) -%}
    {{ one }}.day = {{ other }}.day
    and {{ one }}.starts_at < {{ other }}.ends_at
    and {{ other }}.starts_at < {{ one }}.ends_at
    and {{ one }}.day = {{ utc_day('greatest(' ~ one ~ '.starts_at, ' ~ other ~ '.starts_at)') }}
{%- endmacro %}
