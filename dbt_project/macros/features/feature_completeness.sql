{#- The machines' minutes that are targets, with how complete their last hour is, from the CTEs wanted and targets of
    gold_ml_features. An update has few targets: the minutes of their hours are summed for these alone. A first build
    has them all: frames slide over every minute. -#}
{% macro feature_completeness(update) -%}
    {%- set sums = {
        'tag_minutes': 'sum(tags_reported)',
        'most_tags': 'max(tags_reported)',
        'readings': 'sum(reading_count)',
        'good_readings': 'sum(good_count)',
        'gap_seconds_60': 'sum(gap_seconds)',
        'latest_available_at': 'max(available_at)'
    } -%}
    {%- if update -%}
    select
        ends.*,
        {%- for name in sums %}
        hours.{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from wanted as ends
    inner join (
        select
            hour_of_target.equipment_id,
            hour_of_target.target_number,
            {%- for name, sum in sums.items() %}
            {{ sum }} as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            select
                wanted.*,
                earlier.target_number
            from ({{ steps_to_targets(1) }}) as earlier
            inner join wanted on earlier.equipment_id = wanted.equipment_id and earlier.number = wanted.number
        ) as hour_of_target
        group by hour_of_target.equipment_id, hour_of_target.target_number
    ) as hours on ends.equipment_id = hours.equipment_id and ends.number = hours.target_number
    {%- else -%}
    select
        *,
        {%- for name, sum in sums.items() %}
        {{ sum }} over last_hour as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from wanted
    window last_hour as (partition by equipment_id order by number range between 59 preceding and current row)
    {%- endif -%}
{%- endmacro %}
