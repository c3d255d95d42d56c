{#- The transaction that writes a row, for `built_in_this_run`: it begins to write once the table is its own, so that what an
    older run puts over a newer one's is new to that one, and what it leaves undone is done. From the session's settings
    (`session_settings`), for pg_current_xact_id() would keep a first build from using both cores. -#}
{% macro built_xid() -%}
    current_setting('millwright.built_xid', true)::xid8
{%- endmacro %}
