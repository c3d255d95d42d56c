{#- A reading's value if it is fit for arithmetic, else NULL. NaN and infinities are bad. So are magnitudes over 1e100,
    whose square overflows a double and would end the whole statement; those under 1e-100 are zero, whose square
    would underflow with an error. -#}
{% macro finite(column) -%}
    case when abs({{ column }}) < 1e-100 then 0.0 when abs({{ column }}) <= 1e100 then {{ column }} end
{%- endmacro %}
