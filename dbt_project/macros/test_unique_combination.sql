{#- Generic test: no two rows share all of `columns`, which are the key. NULLs are equal here, unlike in an index. -#}
{% test unique_combination(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
