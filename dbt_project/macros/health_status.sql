{#- A machine's status from its anomaly score: Critical above 0.8, Warning above 0.5, else Normal; Unknown unscored. -#}
{% macro health_status(score) -%}
    case
        when {{ score }} is null then 'Unknown'
        when {{ score }} > 0.8 then 'Critical'
        when {{ score }} > 0.5 then 'Warning'
        else 'Normal'
    end
{%- endmacro %}
