{#- 1 for a minute in which a tag looks stuck, else 0: at least 5 readings that are all the same, or a least and
    greatest value that are exactly those of the minute before. Over a window of minutes in order; the three are looked
    back for at once, which costs a third of three. -#}
{% macro flat(low, high, good_count, minute, window) -%}
    case
        when {{ good_count }} >= 5 and {{ low }} = {{ high }} then 1
        when
            {{ low }} is not null
            and array[{{ low }}, {{ high }}, {{ minute }}] = lag(array[{{ low }}, {{ high }}, {{ minute }} + 1]) over {{ window }}
            then 1
        else 0
    end
{%- endmacro %}
