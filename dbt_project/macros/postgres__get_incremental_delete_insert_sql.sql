{#- The adapter's own, but keys are looked up by index, whatever `session_settings` asked of the model's query: a hash
    join would read all of the table every minute. -#}
{% macro postgres__get_incremental_delete_insert_sql(arg_dict) -%}
    {%- do run_query("set local enable_nestloop = on") -%}
    {{ get_delete_insert_merge_sql(
        arg_dict['target_relation'], arg_dict['temp_relation'], arg_dict['unique_key'], arg_dict['dest_columns'],
        arg_dict['incremental_predicates']
    ) }}
{%- endmacro %}
