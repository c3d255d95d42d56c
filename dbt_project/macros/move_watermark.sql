{#- Closes the run, and moves the watermark to its snapshot only if every model of the minute path was in it and no
    model failed or was skipped. Otherwise the next run repeats the range. Never backwards: a run that others overtook leaves
    the mark where they moved it, unless it is of another cluster (a restore), where it means nothing. -#}
{% macro move_watermark(results) -%}
    {%- if execute -%}
        {%- set ns = namespace(done=[], failed=0) -%}
        {%- for result in results if result.node.resource_type == 'model' -%}
            {%- if result.status | string in ('success', 'NodeStatus.Success', 'RunStatus.Success') -%}
                {%- do ns.done.append(result.node.unique_id) -%}
            {%- else -%}
                {%- set ns.failed = ns.failed + 1 -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set missing = [] -%}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'model' and 'minute' in node.tags and node.unique_id not in ns.done -%}
            {%- do missing.append(node.unique_id) -%}
        {%- endfor -%}
        {%- set complete = ns.failed == 0 and missing | length == 0 -%}
        with closed as (
            update ops.transform_runs set finished_at = clock_timestamp(), succeeded = {{ ns.failed == 0 }}
            where run_id = '{{ invocation_id }}' returning until, moment, baselines_xid
        )
        {% if complete -%}
        insert into ops.watermarks as mark (pipeline, snapshot, system_identifier, moment, baselines_xid)
        select 'transform', closed.until, control.system_identifier, closed.moment, closed.baselines_xid
        from closed cross join pg_control_system() as control
        on conflict (pipeline) do update set
            snapshot = excluded.snapshot, system_identifier = excluded.system_identifier,
            moment = excluded.moment, moved_at = clock_timestamp(), baselines_xid = excluded.baselines_xid
        where
            mark.system_identifier <> excluded.system_identifier
            or (
                pg_snapshot_xmax(excluded.snapshot) >= pg_snapshot_xmax(mark.snapshot)
                and not exists (
                    select 1 from pg_snapshot_xip(excluded.snapshot) as unseen (xid)
                    where pg_visible_in_snapshot(unseen.xid, mark.snapshot)
                )
            )
        {%- else -%}
        select count(*) from closed
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
