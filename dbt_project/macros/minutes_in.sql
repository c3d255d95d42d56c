{#- Minutes that a tstzmultirange covers, a double; 0 where it is empty or NULL. -#}
{% macro minutes_in(multirange) -%}
    (
        select coalesce(sum(date_part('epoch', upper(part) - lower(part))), 0) / 60
        from unnest({{ multirange }}) as part
    )
{%- endmacro %}
