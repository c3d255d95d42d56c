{#- The transaction range of this run as literals, so that the planner sees constants:
    {since: '…' or none, since_xmin, until, until_xmax, baselines_xid: '…' or none}. Rows that this run's models write carry
    a built_xid >= until_xmax, for their transactions began after `until` was taken. Baselines up to baselines_xid have
    been followed by a complete run. -#}
{% macro run_range() -%}
    {%- set ns = namespace(range={'since': none, 'since_xmin': '0', 'until': '1:1:', 'until_xmax': '1', 'baselines_xid': none}) -%}
    {%- if execute -%}
        {%- set found = run_query(
            "select since::text, pg_snapshot_xmin(since)::text, until::text, pg_snapshot_xmax(until)::text,"
            ~ " (select baselines_xid::text from ops.watermarks where pipeline = 'transform')"
            ~ " from ops.transform_runs where run_id = '" ~ invocation_id ~ "'"
        ) -%}
        {%- for row in found.rows -%}
            {%- set ns.range = {
                'since': row[0], 'since_xmin': row[1], 'until': row[2], 'until_xmax': row[3], 'baselines_xid': row[4]
            } -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(ns.range) }}
{%- endmacro %}
