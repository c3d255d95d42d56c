{#- Descriptions as comments in the database, for psql and Metabase. The minute's run leaves those of a table that is
    there as they are: gold's hundreds would be written anew every minute. -#}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- if not (is_incremental() and 'tag:minute' in (invocation_args_dict.get('select') or [])) -%}
        {{ default__persist_docs(relation, model, for_relation, for_columns) }}
    {%- endif -%}
{%- endmacro %}
