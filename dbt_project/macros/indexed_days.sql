{#- For `day_slices`: the first and the last UTC day of a relation with an index on (tag_id, `timestamp`), by a probe for
    each of `tags` and not by reading all of it. -#}
{% macro indexed_days(relation, timestamp, tags) -%}
    select (min(of_tag.first) at time zone 'UTC')::date, (max(of_tag.last) at time zone 'UTC')::date from {{ tags }} as tags
    cross join lateral (
        select min({{ timestamp }}) as first, max({{ timestamp }}) as last from {{ relation }} as timed
        where timed.tag_id = tags.tag_id
    ) as of_tag
{%- endmacro %}
