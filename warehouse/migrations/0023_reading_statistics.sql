-- Statistics of the days that a backfill brought, and of the table as a whole, which autovacuum never looks at. Without
-- them the next statement takes a million rows for a few thousand and reads them on one core. A small sample: 90 days take
-- a second, and autovacuum's own would take ten while features are built.
CREATE FUNCTION raw.analyze_new_days(days date []) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET default_statistics_target = 10 AS $$
DECLARE
    partition regclass;
    analyzed integer := 0;
BEGIN
    FOR partition IN
        SELECT c.oid::regclass
        FROM unnest(days) AS wanted (day)
        INNER JOIN pg_class AS c ON c.oid = to_regclass('raw.sensor_events_' || to_char(wanted.day, 'YYYYMMDD'))
        WHERE c.reltuples < 0
        ORDER BY wanted.day
    LOOP
        EXECUTE format('ANALYZE %s', partition);
        analyzed := analyzed + 1;
    END LOOP;
    IF analyzed > 0 THEN
        ANALYZE ONLY raw.sensor_events;
    END IF;
    RETURN analyzed;
END $$;
REVOKE EXECUTE ON FUNCTION raw.analyze_new_days FROM public;
GRANT EXECUTE ON FUNCTION raw.analyze_new_days TO millwright_ingest;

-- Readings are only ever inserted, and whole days of them dropped: nothing is won by freezing a day five times while it grows.
CREATE OR REPLACE FUNCTION raw.ensure_partitions(from_ts timestamptz, to_ts timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    day date;
    name text;
    made integer := 0;
BEGIN
    FOR day IN SELECT d::date FROM generate_series((from_ts AT TIME ZONE 'UTC')::date, (to_ts AT TIME ZONE 'UTC')::date, '1 day') AS d
    LOOP
        name := 'sensor_events_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('raw.' || name) IS NOT NULL;
        -- Two workers may meet the same new day.
        PERFORM pg_advisory_xact_lock(hashtext('raw.ensure_partitions'));
        CONTINUE WHEN to_regclass('raw.' || name) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE raw.%I (LIKE raw.sensor_events INCLUDING DEFAULTS) WITH (autovacuum_vacuum_insert_threshold = -1)', name);
        EXECUTE format(
            'ALTER TABLE raw.sensor_events ATTACH PARTITION raw.%I FOR VALUES FROM (%L) TO (%L)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'raw.sensor_events'::regclass
    LOOP
        EXECUTE format('ALTER TABLE %s SET (autovacuum_vacuum_insert_threshold = -1)', partition);
    END LOOP;
END $$;
