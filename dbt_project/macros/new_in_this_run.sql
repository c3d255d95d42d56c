{#- True for rows that this run reads for the first time: its snapshot sees the transaction that wrote them and the last
    run's did not. Comparing with the last one's xmin lets an index find them. Never true without a watermark, for then
    everything is read again anyway. -#}
{% macro new_in_this_run(column) -%}
    {%- set range = run_range() -%}
    {%- if range.since is none -%}
        false
    {%- else -%}
        {{ column }} >= '{{ range.since_xmin }}'::xid8
        and not pg_visible_in_snapshot({{ column }}, '{{ range.since }}'::pg_snapshot)
        and pg_visible_in_snapshot({{ column }}, '{{ range.until }}'::pg_snapshot)
    {%- endif -%}
{%- endmacro %}
