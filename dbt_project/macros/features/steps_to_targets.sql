{#- The minutes of the hour that ends at each target, every `step`th back from it, a row each (equipment_id, number,
    target_number), from the CTE targets of gold_ml_features. Fenced: joined first they are a join of equals; the planner
    would join by machine alone and write the hour out for each of its minutes. -#}
{% macro steps_to_targets(step) -%}
    select
        targets.equipment_id,
        targets.number as target_number,
        earlier.number
    from targets
    cross join lateral generate_series(targets.number - {{ 60 - step }}, targets.number, {{ step }}) as earlier (number)
    offset 0
{%- endmacro %}
