{#- When a machine was last maintained, as known at `known_at`: a completed work order or maintenance of a component. `history`
    is int_equipment_history; NULL where it was told of none by then. -#}
{% macro last_service_at(known_at) -%}
    history.services[nullif(width_bucket({{ known_at }}, history.services_known_at), 0)]
{%- endmacro %}
