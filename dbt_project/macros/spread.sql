{#- Population standard deviation from count, sum and sum of squares. A variance below 1e-13 of the mean's square is
    what rounding leaves of zero, so it is zero. -#}
{% macro spread(n, total, squares) -%}
    case when {{ n }} > 0 then sqrt(
        case
            when {{ squares }} / {{ n }} - ({{ total }} / {{ n }}) * ({{ total }} / {{ n }})
                > 1e-13 * ({{ total }} / {{ n }}) * ({{ total }} / {{ n }})
                then {{ squares }} / {{ n }} - ({{ total }} / {{ n }}) * ({{ total }} / {{ n }})
            else 0.0
        end
    ) end
{%- endmacro %}
