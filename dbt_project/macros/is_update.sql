{#- True where only what this run's new readings touch is recomputed; false for a first build, a full refresh, and a
    run without a watermark, which read everything. -#}
{% macro is_update() -%}
    {{ return(is_incremental() and run_range().since is not none) }}
{%- endmacro %}
