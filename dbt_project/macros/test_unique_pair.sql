{#- Generic test: no two rows share the two columns, which are the key. -#}
{% test unique_pair(model, first, second) %}
select
    {{ first }},
    {{ second }}
from {{ model }}
group by {{ first }}, {{ second }}
having count(*) > 1
{% endtest %}
