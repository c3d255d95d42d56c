{#- True for rows that a model upstream wrote in this run, and for what other runs wrote since it began, a minute or one that
    fails before it has made what follows: this one makes it, again or instead. A single run at a time writes a table
    (`load_cached_relation`). -#}
{% macro built_in_this_run(column='built_xid') -%}
    {{ column }} >= '{{ run_range().until_xmax }}'::xid8
{%- endmacro %}
