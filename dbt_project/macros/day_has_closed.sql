{#- True in the first run after a day ended at any of the plants: the last complete run's moment was of an earlier plant day. -#}
{% macro day_has_closed(watermarks, plants) -%}
    {%- set found = run_query(
        "select coalesce(bool_or("
        ~ plant_day("'" ~ moment() ~ "'::timestamptz", 'plants.time_zone')
        ~ " > " ~ plant_day('watermarks.moment', 'plants.time_zone')
        ~ "), true) from " ~ watermarks ~ " as watermarks cross join " ~ plants
        ~ " as plants where watermarks.pipeline = 'transform'"
    ) if execute else none -%}
    {{ return(found.rows[0][0] if found else true) }}
{%- endmacro %}
