{#- Hours from the latest maintenance known by a minute's end until then; `history` is int_equipment_history. -#}
{% macro hours_since_service(minute) -%}
    date_part('epoch', {{ minute }} + interval '1 minute' - history.services[
        nullif(width_bucket({{ minute }} + interval '1 minute', history.services_known_at), 0)
    ]) / 3600
{%- endmacro %}
