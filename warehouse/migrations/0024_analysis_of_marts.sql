-- A day of a mart is analyzed when it has grown by thousands of rows and not by fifty: each time costs seconds, for gold has
-- hundreds of columns, and a first build makes three months of such days at once. Until then its keys' index needs no
-- statistics.
CREATE OR REPLACE FUNCTION ops.ensure_day_partitions(parent regclass, days date []) RETURNS integer
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
        EXECUTE format('CREATE TABLE partitions.%I (LIKE %s INCLUDING DEFAULTS)'
            ' WITH (autovacuum_analyze_threshold = 5000, autovacuum_vacuum_insert_threshold = 5000)', name, parent);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)',
            parent, name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
