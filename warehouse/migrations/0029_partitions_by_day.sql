-- A full refresh makes a mart under another name, whose partitions keep it when the mart takes the old one's place. Told by their
-- names, all of them were missing then, and the next run failed on a day that overlapped its own. So they are told by the
-- day at their end, of those that the mart has. And a day is vacuumed after a fiftieth of it was replaced and not after a fifth:
-- late readings replace windows by the minute, and a day of 1,000 machines has millions.
CREATE OR REPLACE FUNCTION ops.ensure_day_partitions(parent regclass, days date []) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mart name := (SELECT c.relname FROM pg_class AS c WHERE c.oid = parent);
    day date;
    name text;
    made integer := 0;
BEGIN
    FOREACH day IN ARRAY days LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits AS i INNER JOIN pg_class AS c ON i.inhrelid = c.oid
            WHERE i.inhparent = parent AND right(c.relname, 8) = to_char(day, 'YYYYMMDD')
        );
        name := format('%s_%s_%s', left(mart, 40), parent::oid, to_char(day, 'YYYYMMDD'));
        EXECUTE format('CREATE TABLE partitions.%I (LIKE %s INCLUDING DEFAULTS)'
            ' WITH (autovacuum_analyze_threshold = 5000, autovacuum_vacuum_insert_threshold = 5000,'
            ' autovacuum_vacuum_scale_factor = 0.02)', name, parent);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)',
            parent, name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
