-- Day partitions of the marts that grow by the minute: their retention is a detach and drop. dbt makes the tables.
CREATE SCHEMA partitions AUTHORIZATION millwright_transform;
COMMENT ON SCHEMA partitions IS 'Day partitions of marts, apart from them so that a BI tool lists the marts alone. Read the marts.';

-- Attached, not created in place: CREATE TABLE … PARTITION OF would wait for every reader of the mart, and all later ones for it.
-- The name carries the mart's oid: a full refresh makes a new table beside the old one.
CREATE FUNCTION ops.ensure_day_partitions(parent regclass, days date []) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mart name := (SELECT c.relname FROM pg_class AS c WHERE c.oid = parent);
    day date;
    name text;
    made integer := 0;
BEGIN
    FOREACH day IN ARRAY days LOOP
        name := format('%s_%s_%s', left(mart, 40), parent::oid, to_char(day, 'YYYYMMDD'));
        CONTINUE WHEN to_regclass('partitions.' || quote_ident(name)) IS NOT NULL;
        EXECUTE format('CREATE TABLE partitions.%I (LIKE %s INCLUDING DEFAULTS)', name, parent);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)',
            parent, name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
REVOKE EXECUTE ON FUNCTION ops.ensure_day_partitions FROM public;
GRANT EXECUTE ON FUNCTION ops.ensure_day_partitions TO millwright_transform;
COMMENT ON FUNCTION ops.ensure_day_partitions IS 'makes the UTC day partitions of a mart that are missing; returns how many';
