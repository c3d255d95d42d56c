-- What a machine has planned from a minute on is found by an index, however many years of plans there are.
CREATE INDEX mes_schedules_ends ON raw.mes_schedules (equipment_id, ends_at);

-- A day of a mart is vacuumed after a fiftieth of it was replaced and not after a fifth: late readings replace windows by the
-- minute, and a day of 1,000 machines has millions.
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
            ' WITH (autovacuum_analyze_threshold = 5000, autovacuum_vacuum_insert_threshold = 5000,'
            ' autovacuum_vacuum_scale_factor = 0.02)', name, parent);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)',
            parent, name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
