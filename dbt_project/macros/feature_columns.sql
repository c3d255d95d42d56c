{#- The columns of gold_ml_features that every measurement has, in the order in which `int` arrays carry them:
    for each window mean, std, min, max, deviation; then the slope and the flat minutes. -#}
{% macro feature_columns(measurement) -%}
    {%- set columns = [] -%}
    {%- for window in var('windows') -%}
        {%- for statistic in ['mean', 'std', 'min', 'max', 'deviation'] -%}
            {%- do columns.append(measurement ~ '_' ~ statistic ~ '_' ~ window ~ 'm') -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do columns.append(measurement ~ '_slope_60m') -%}
    {%- do columns.append(measurement ~ '_flat_minutes') -%}
    {{ return(columns) }}
{%- endmacro %}
