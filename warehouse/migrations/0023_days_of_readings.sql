-- A day's partition is made in two steps, so that a day which a file brings whole can be loaded between them: half of what
-- landing it row by row into two indexes costs. `begin_day` makes the table, unless the day has a partition; the caller
-- fills it in the same transaction, so that COPY may freeze its rows, and `attach_days` ends it. Shared, the lock of
-- `ensure_partitions` lets two connections do that to different days and keeps everyone else from making the same ones.
CREATE FUNCTION raw.begin_day(day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'sensor_events_' || to_char(day, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('raw.ensure_partitions'));
    -- Asked of the catalog: the cache that to_regclass reads may be from before the wait.
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'raw'::regnamespace AND relname = name) THEN
        RETURN NULL;
    END IF;
    EXECUTE format('CREATE TABLE raw.%I (LIKE raw.sensor_events INCLUDING DEFAULTS)', name);
    EXECUTE format('GRANT INSERT ON raw.%I TO millwright_ingest', name);
    RETURN name;
END $$;

-- Attached last of all: the other connection's attaching waits from the first of these until this one's commit.
CREATE FUNCTION raw.attach_days(days date []) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    day date;
    name text;
BEGIN
    FOREACH day IN ARRAY days
    LOOP
        name := 'sensor_events_' || to_char(day, 'YYYYMMDD');
        EXECUTE format('REVOKE INSERT ON raw.%I FROM millwright_ingest', name);
        EXECUTE format('ALTER TABLE raw.%I ADD PRIMARY KEY (tag_id, source_ts, digest)', name);
        EXECUTE format('CREATE INDEX ON raw.%I (landed_xid)', name);
    END LOOP;
    FOREACH day IN ARRAY days
    LOOP
        EXECUTE format(
            'ALTER TABLE raw.sensor_events ATTACH PARTITION raw.%I FOR VALUES FROM (%L) TO (%L)',
            'sensor_events_' || to_char(day, 'YYYYMMDD'),
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END LOOP;
END $$;

-- As before, by these. Who waited for another's partition failed on a table that was there.
CREATE OR REPLACE FUNCTION raw.ensure_partitions(from_ts timestamptz, to_ts timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    day date;
    made integer := 0;
BEGIN
    FOR day IN SELECT d::date FROM generate_series((from_ts AT TIME ZONE 'UTC')::date, (to_ts AT TIME ZONE 'UTC')::date, '1 day') AS d
    LOOP
        CONTINUE WHEN to_regclass('raw.sensor_events_' || to_char(day, 'YYYYMMDD')) IS NOT NULL;
        -- Two workers may meet the same new day.
        PERFORM pg_advisory_xact_lock(hashtext('raw.ensure_partitions'));
        IF raw.begin_day(day) IS NOT NULL THEN
            PERFORM raw.attach_days(ARRAY[day]);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

REVOKE EXECUTE ON FUNCTION raw.begin_day, raw.attach_days FROM public;
GRANT EXECUTE ON FUNCTION raw.begin_day, raw.attach_days TO millwright_ingest;

-- Statistics of the days that a backfill brought, and of the table as a whole, which autovacuum never looks at. Without
-- them the next statement takes a million rows for a few thousand and reads them on one core. A small sample is enough for
-- that, and someone waits for it.
CREATE FUNCTION raw.analyze_new_days(days date []) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    partition regclass;
BEGIN
    PERFORM set_config('default_statistics_target', '10', true);
    FOR partition IN
        SELECT c.oid::regclass
        FROM unnest(days) AS wanted (day)
        INNER JOIN pg_class AS c ON c.oid = to_regclass('raw.sensor_events_' || to_char(wanted.day, 'YYYYMMDD'))
        WHERE NOT EXISTS (SELECT FROM pg_stats AS s WHERE s.schemaname = 'raw' AND s.tablename = c.relname)
    LOOP
        EXECUTE format('ANALYZE %s', partition);
    END LOOP;
    IF FOUND THEN
        ANALYZE ONLY raw.sensor_events;
    END IF;
END $$;
REVOKE EXECUTE ON FUNCTION raw.analyze_new_days FROM public;
GRANT EXECUTE ON FUNCTION raw.analyze_new_days TO millwright_ingest;
