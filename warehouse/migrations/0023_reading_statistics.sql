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
