{#- UTC days cut into at most `most` slices of whole days: [[from, to), …] as literals. `extent` is a query for a row with
    the first and the last day. A statement that is the union of its slices uses every core, and sorts each of them in
    memory. -#}
{% macro day_slices(extent, most=12) -%}
    {%- set found = run_query(
        "select slice.day::date::text, least((slice.day + extent.days * interval '1 day')::date, extent.ends)::text"
        ~ " from (select day.first, day.last + 1 as ends, ceil((day.last - day.first + 1) / " ~ most ~ ".0) as days"
        ~ " from (" ~ extent ~ ") as day (first, last)) as extent"
        ~ " cross join lateral generate_series(extent.first, extent.ends - 1, extent.days * interval '1 day')"
        ~ " as slice (day)"
    ) if execute else none -%}
    {%- set slices = [] -%}
    {%- for row in (found.rows if found else []) -%} {%- do slices.append([row[0] ~ 'Z', row[1] ~ 'Z']) -%} {%- endfor -%}
    {{ return(slices or [['epoch', 'epoch']]) }}
{%- endmacro %}
