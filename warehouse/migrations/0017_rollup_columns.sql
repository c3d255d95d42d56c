-- Roll-ups are never rebuilt from readings wholesale: those of an older version get the columns that came since. What they
-- count was never bad beyond what is known, and no gap was looked up for them.
ALTER TABLE IF EXISTS intermediate.int_sensor_minutes
ADD COLUMN IF NOT EXISTS value_twa double precision,
ADD COLUMN IF NOT EXISTS bad_count integer,
ADD COLUMN IF NOT EXISTS gap_seconds real DEFAULT 0;
ALTER TABLE IF EXISTS intermediate.int_equipment_minutes
ADD COLUMN IF NOT EXISTS gap_tags smallint DEFAULT 0,
ADD COLUMN IF NOT EXISTS gap_seconds real DEFAULT 0;

DO $$
BEGIN
    IF to_regclass('intermediate.int_sensor_minutes') IS NOT NULL THEN
        UPDATE intermediate.int_sensor_minutes SET bad_count = reading_count - good_count WHERE bad_count IS NULL;
    END IF;
END $$;
