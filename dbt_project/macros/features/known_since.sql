{#- How many of the times in an ordered array lie in the stretch before a minute's end; 0 where the array is NULL. -#}
{% macro known_since(times, minute, stretch) -%}
    coalesce(
        width_bucket({{ minute }} + interval '1 minute', {{ times }})
        - width_bucket({{ minute }} + interval '1 minute' - interval '{{ stretch }}', {{ times }}),
        0
    )::integer
{%- endmacro %}
