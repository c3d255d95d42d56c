{#- Pre-hook of a first build that is the union of slices (`day_slices`): a slice is one core's, and the slices are shared
    out among all. Without `whole` the planner may read a large slice on all cores, and the rest on one; with it, the
    indexes are built on one core as well. -#}
{% macro parallel_slices(whole=true) -%}
    {%- if execute and not is_update() -%}
    set local parallel_tuple_cost = 0
    ; set local enable_gathermerge = off
    {%- if whole %}
    ; set local min_parallel_table_scan_size = '5TB'; set local min_parallel_index_scan_size = '5TB'
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}
