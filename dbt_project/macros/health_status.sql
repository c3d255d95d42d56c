{#- A machine's status from its anomaly score: Critical above 0.8, Warning above 0.5, else Normal; Unknown unscored, and where
    nothing of the machine has a baseline yet, which a confidence of 0 says. -#}
{% macro health_status(score, confidence) -%}
    case
        when {{ score }} is null or {{ confidence }} = 0 then 'Unknown'
        when {{ score }} > 0.8 then 'Critical'
        when {{ score }} > 0.5 then 'Warning'
        else 'Normal'
    end
{%- endmacro %}
