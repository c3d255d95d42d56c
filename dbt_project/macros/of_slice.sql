{#- The condition under which a machine belongs to what is being made: any does, unless `postgres__create_table_as` makes a
    first build in slices, which then says so in its place. The comment keeps a join from reading the same. -#}
{% macro of_slice() -%}
    {{ return('equipment_id = equipment_id /* of any slice */') }}
{%- endmacro %}
