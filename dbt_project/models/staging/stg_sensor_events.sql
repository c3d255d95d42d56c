with source as (
    select * from {{ source('raw', 'sensor_events') }}
),

renamed as (
    select
        tag_id,
        source_ts,
        server_ts,
        status >> 30 as severity,
        status >> 30 = 0 and (value_text is not null or {{ finite('value') }} is not null) as is_good,
        case when status >> 30 = 0 then {{ finite('value') }} end as value,
        case when status >> 30 = 0 then value_text end as value_text,
        digest,
        available_at,
        landed_xid
    from source
),

-- Two readings may share a timestamp: the best quality wins, then the later server time; the digest breaks ties, so
-- that the order of arrival does not matter. A filter on tag_id and source_ts is pushed below this.
deduplicated as (
    select distinct on (tag_id, source_ts) *
    from renamed
    order by tag_id, source_ts, severity, is_good desc, server_ts desc nulls last, digest
)

select * from deduplicated
