{#- The machines' minutes that are targets, with how complete their last hour is, how many minutes of each window told
    something, and in how many of those the machine ran and wasn't maintained, from the CTEs wanted, targets and phases of
    gold_ml_features. An update has few targets: the minutes of their hours are summed for these alone. A first build has
    them all: frames slide over the blocks of minutes that end at one, as those of `feature_windows` do. -#}
{% macro feature_completeness(update) -%}
    {%- set block = var('windows')[0] -%}
    {#- Name: the aggregate, its column, and the type in which a sum of it is exact. -#}
    {%- set parts = {
        'tag_minutes': ('sum', 'tags_reported', 'integer'),
        'most_tags': ('max', 'tags_reported', 'integer'),
        'readings': ('sum', 'reading_count', 'integer'),
        'good_readings': ('sum', 'good_count', 'integer'),
        'gap_seconds_60': ('sum', 'gap_seconds', 'double precision'),
        'latest_available_at': ('max', 'available_at', 'timestamptz')
    } -%}
    {%- set runs = '(is_running and not in_maintenance)::integer' -%}
    select
        ends.*,
        {%- for name in parts %}
        hours.{{ name }},
        {%- endfor %}
        {%- for window in var('windows') %}
        hours.told_{{ window }},
        hours.running_{{ window }}{{ ',' if not loop.last }}
        {%- endfor %}
    from wanted as ends
    inner join (
        {%- if update %}
        select
            hour_of_target.equipment_id,
            hour_of_target.target_number as number,
            {%- for name, (aggregate, column, type) in parts.items() %}
            {{ aggregate }}({{ column }}::{{ type }}) as {{ name }},
            {%- endfor %}
            {%- for window in var('windows') %}
            count(*) filter (where number > target_number - {{ window }}) as told_{{ window }},
            sum({{ runs }}) filter (where number > target_number - {{ window }})
                as running_{{ window }}{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            select
                wanted.*,
                earlier.target_number
            from ({{ steps_to_targets(1) }}) as earlier
            inner join wanted on earlier.equipment_id = wanted.equipment_id and earlier.number = wanted.number
        ) as hour_of_target
        group by hour_of_target.equipment_id, hour_of_target.target_number
        {%- else %}
        select
            equipment_id,
            number,
            {%- for name, (aggregate, column, type) in parts.items() %}
            {{ aggregate }}({{ name }}) over last_60 as {{ name }},
            {%- endfor %}
            {%- for window in var('windows') %}
            sum(told) over last_{{ window }} as told_{{ window }},
            sum(running) over last_{{ window }} as running_{{ window }}{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            select
                equipment_id,
                phase,
                block_end as number,
                {%- for name, (aggregate, column, type) in parts.items() %}
                {{ aggregate }}({{ column }}::{{ type }})::{{ type }} as {{ name }},
                {%- endfor %}
                count(*)::integer as told,
                sum({{ runs }})::integer as running
            from (
                select
                    wanted.*,
                    phases.phase,
                    {{ block_end('wanted.number', 'phases.phase') }} as block_end
                from wanted
                inner join phases
                    on wanted.equipment_id = phases.equipment_id and wanted.number / 60 = phases.hour_number
            ) as minutes_of_blocks
            group by equipment_id, phase, block_end
        ) as blocks_of_machine
        window
            {%- for window in var('windows') %}
            last_{{ window }} as (
                partition by equipment_id, phase
                order by number range between {{ window - block }} preceding and current row
            ){{ ',' if not loop.last }}
            {%- endfor %}
        {%- endif %}
    ) as hours on ends.equipment_id = hours.equipment_id and ends.number = hours.number
{%- endmacro %}
