{#- True for baselines that no run has followed to its end: those that were written after the last complete run made its own, by
    this run or by one that failed. What a run repeats it writes anew, but a version that exists stays as it is: that it
    is there says nothing of whether the windows that see it do. -#}
{% macro baselines_to_follow(column) -%}
    {%- set followed = run_range().baselines_xid -%}
    {%- if followed is none -%}
        {{ built_in_this_run(column) }}
    {%- else -%}
        {{ column }} > '{{ followed }}'::xid8
    {%- endif -%}
{%- endmacro %}
