{#- 1 for a minute in which a tag looks stuck, else 0: at least 5 readings that are all the same, or a least and
    greatest value that are exactly those of the minute before. Over a window of minutes in order. -#}
{% macro flat(low, high, good_count, minute, window) -%}
    case
        when {{ good_count }} >= 5 and {{ low }} = {{ high }} then 1
        when
            {{ low }} = lag({{ low }}) over {{ window }} and {{ high }} = lag({{ high }}) over {{ window }}
            and {{ minute }} = lag({{ minute }}) over {{ window }} + 1
            then 1
        else 0
    end
{%- endmacro %}
