{#- The machines, dealt out in turn to `most` lists at most; neighbours are often of a kind, and cost alike. Each is an array
    as a literal. -#}
{% macro machine_slices(most) -%}
    {%- set found = run_query('select quote_literal(equipment_id) from ' ~ ref('stg_equipment') ~ ' order by equipment_id')
        if execute and most else none -%}
    {%- set machines = found.columns[0].values() | list if found else [] -%}
    {%- set slices = [] -%}
    {%- for start in range(most) if machines[start:] -%}
        {%- do slices.append('array[' ~ machines[start::most] | join(', ') ~ ']::text[]') -%}
    {%- endfor -%}
    {{ return(slices) }}
{%- endmacro %}
