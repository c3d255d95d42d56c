{#- Operating regime: the load band 0 (< 0.25 of rated load) to 4 (>= 1.0), 2 where the load is not known; after a start,
    whatever the load, 5 and up: the phase that `minutes_since_start`, NULL where no start is known, lies in. -#}
{% macro regime(load_ratio, minutes_since_start) -%}
    {%- set phases = var('start_phases') -%}
    coalesce(
        5 + nullif(
            width_bucket(({{ minutes_since_start }})::double precision, array{{ phases }}::double precision []), {{ phases | length }}
        ),
        width_bucket({{ load_ratio }}, array[0.25, 0.5, 0.75, 1.0]::double precision []),
        2
    )::smallint
{%- endmacro %}
