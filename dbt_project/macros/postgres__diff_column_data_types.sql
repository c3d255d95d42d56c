{#- dbt's own looks through all of one table's columns for each of the other's; gold has some 250 of them, every minute. -#}
{% macro postgres__diff_column_data_types(source_columns, target_columns) -%}
    {%- set targets = {} -%}
    {%- for column in target_columns -%} {%- do targets.update({column.name: column}) -%} {%- endfor -%}
    {%- set changed = [] -%}
    {%- for column in source_columns if column.name in targets -%}
        {%- set target = targets[column.name] -%}
        {%- if column.expanded_data_type != target.expanded_data_type and not column.can_expand_to(other_column=target) -%}
            {%- do changed.append({'column_name': target.name, 'new_type': column.expanded_data_type}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(changed) }}
{%- endmacro %}
