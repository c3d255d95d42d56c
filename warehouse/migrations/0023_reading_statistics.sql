-- Statistics of the days that a backfill brought, and of the table as a whole, which autovacuum never looks at. Without
-- them the next statement takes a million rows for a few thousand and reads them on one core. A small sample is enough for
-- that, and someone waits for it.
CREATE FUNCTION raw.analyze_new_days(days date []) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET default_statistics_target = 10 AS $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN
        SELECT c.oid::regclass
        FROM unnest(days) AS wanted (day)
        INNER JOIN pg_class AS c ON c.oid = to_regclass('raw.sensor_events_' || to_char(wanted.day, 'YYYYMMDD'))
        WHERE c.reltuples < 0
    LOOP
        EXECUTE format('ANALYZE %s', partition);
    END LOOP;
    IF FOUND THEN
        ANALYZE ONLY raw.sensor_events;
    END IF;
END $$;
REVOKE EXECUTE ON FUNCTION raw.analyze_new_days FROM public;
GRANT EXECUTE ON FUNCTION raw.analyze_new_days TO millwright_ingest;
