with partitions as (
    select inhrelid as oid from pg_inherits
    where inhparent = '{{ source("raw", "sensor_events") }}'::regclass
),

renamed as (
    select to_date(right(pg_class.relname, 8), 'YYYYMMDD') as day
    from partitions
    inner join pg_class on partitions.oid = pg_class.oid
)

select * from renamed
