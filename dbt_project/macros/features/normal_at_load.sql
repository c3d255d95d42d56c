{#- What a baseline, a row of int_baselines, has for normal at a load: its line, or its mean where either doesn't know the load. -#}
{% macro normal_at_load(baseline, load_ratio) -%}
    ({{ baseline }}.baseline_mean + coalesce({{ baseline }}.load_slope * ({{ load_ratio }} - {{ baseline }}.load_mean), 0))
{%- endmacro %}
