{#- The machines dealt out to `most` lists: a machine of many tags and its neighbours, alike as neighbours are, part. -#}
{% macro machine_slices(most) -%}
    {%- set found = run_query('select equipment_id from ' ~ ref('stg_equipment') ~ ' order by equipment_id')
        if execute and most else none -%}
    {%- set machines = found.columns[0].values() | list if found else [] -%}
    {%- set slices = [] -%}
    {%- for start in range(most) if machines[start:] -%} {%- do slices.append(machines[start::most]) -%} {%- endfor -%}
    {{ return(slices) }}
{%- endmacro %}
