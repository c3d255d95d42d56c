{#- The features that every measurement has, in the order of gold_ml_features' columns: `mean_5m` is the column
    temperature_mean_5m and so on. warehouse/feature_contract.py describes them. -#}
{% macro feature_columns() -%}
    {%- set columns = [] -%}
    {%- for window in var('windows') -%}
        {%- for statistic in [
            'mean', 'std', 'min', 'max', 'deviation', 'slope', 'rate_of_change', 'percentage_change'
        ] -%}
            {%- do columns.append(statistic ~ '_' ~ window ~ 'm') -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(columns + [
        'mean_24h', 'std_24h', 'skewness_24h', 'z_score_24h', 'flat_minutes', 'bad_share_60m', 'missing_share_60m',
        'set_point'
    ]) }}
{%- endmacro %}
