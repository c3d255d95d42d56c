{#- Pre-hook of a first build that is the union of slices (`day_slices`): a slice is one core's, and the slices are shared
    out among all. Without this the planner reads the largest one on all cores, and the rest on one. -#}
{% macro parallel_slices() -%}
    {%- if execute and not is_update() -%}
    set local parallel_tuple_cost = 0
    ; set local enable_gathermerge = off
    ; set local min_parallel_table_scan_size = '5TB'; set local min_parallel_index_scan_size = '5TB'
    {%- endif -%}
{%- endmacro %}
