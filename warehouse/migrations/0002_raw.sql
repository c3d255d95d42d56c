-- Bronze: what the plant said, as it said it.

-- The plant file as rows, written by `python -m ingest sync-plant` and at each start of a worker.
CREATE TABLE raw.plants (
    plant_id text PRIMARY KEY,
    name text NOT NULL,
    timezone text NOT NULL,
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE raw.equipment (
    equipment_id text PRIMARY KEY,
    plant_id text NOT NULL REFERENCES raw.plants,
    name text NOT NULL,
    area text,
    equipment_type text NOT NULL,
    load_measurement text,
    rated_load double precision CHECK (rated_load > 0),
    retired_at timestamptz,
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN raw.equipment.load_measurement IS 'the measurement that tells how hard the machine works; regimes are bands of it';
COMMENT ON COLUMN raw.equipment.rated_load IS 'full load, in the unit of load_measurement';

CREATE TYPE raw.tag_role AS ENUM ('measurement', 'set_point', 'state', 'counter');

CREATE TABLE raw.tags (
    tag_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server text NOT NULL,
    node_id text NOT NULL,
    equipment_id text NOT NULL REFERENCES raw.equipment,
    measurement text NOT NULL,
    position text NOT NULL DEFAULT '',
    role raw.tag_role NOT NULL DEFAULT 'measurement',
    unit text NOT NULL DEFAULT '',
    data_type text NOT NULL CHECK (data_type IN ('double', 'integer', 'boolean', 'string', 'datetime')),
    states jsonb NOT NULL DEFAULT '{}',
    valid_from timestamptz NOT NULL DEFAULT clock_timestamp(),
    valid_to timestamptz,
    CHECK (valid_to > valid_from)
);
CREATE UNIQUE INDEX tags_current_node ON raw.tags (server, node_id) WHERE valid_to IS NULL;
CREATE UNIQUE INDEX tags_current_meaning ON raw.tags (equipment_id, measurement, position) WHERE valid_to IS NULL;
COMMENT ON TABLE raw.tags IS
'One row per tag and meaning. tag_id is stable for ever: a tag that changes unit, node or meaning is a new row, a removed one has valid_to set.';
COMMENT ON COLUMN raw.tags.node_id IS 'with the namespace URI: nsu=<uri>;s=<id>; resolved anew on every connection';
COMMENT ON COLUMN raw.tags.position IS 'tells two sensors of one measurement on one machine apart; '''' where there is one';
COMMENT ON COLUMN raw.tags.role IS 'counter: landed only, never a feature';
COMMENT ON COLUMN raw.tags.states IS 'for role state: what the server sends -> running | idle | stopped | maintenance; a value not listed is lower-cased';

CREATE TABLE raw.limits (
    equipment_id text NOT NULL REFERENCES raw.equipment,
    measurement text NOT NULL,
    position text NOT NULL DEFAULT '',
    severity text NOT NULL CHECK (severity IN ('warning', 'critical', 'emergency')),
    direction text NOT NULL CHECK (direction IN ('high', 'low')),
    limit_value double precision NOT NULL,
    PRIMARY KEY (equipment_id, measurement, position, severity, direction)
);

CREATE TYPE raw.origin AS ENUM ('live', 'history', 'backfill');

CREATE TABLE raw.sensor_events (
    tag_id integer NOT NULL,
    source_ts timestamptz NOT NULL,
    server_ts timestamptz,
    value double precision,
    value_text text,
    status bigint NOT NULL,
    digest bigint NOT NULL,
    origin raw.origin NOT NULL,
    available_at timestamptz NOT NULL,
    landed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    landed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (tag_id, source_ts, digest)
) PARTITION BY RANGE (source_ts);
-- Monotonic and one value a transaction, so B-tree deduplication keeps it to a few bytes a row; it finds what is new.
CREATE INDEX sensor_events_landed ON raw.sensor_events (landed_xid);
COMMENT ON TABLE raw.sensor_events IS
'One row per tag, source timestamp and distinct reading (digest of value and status). Partitioned by UTC day of source_ts.';
COMMENT ON COLUMN raw.sensor_events.status IS 'the 32-bit OPC UA status code, info bits and all; good when (status >> 30) = 0';
COMMENT ON COLUMN raw.sensor_events.available_at IS 'when the plant could have known it: landing for live rows, source_ts + delay for backfills';

CREATE TABLE raw.tag_latest (
    tag_id integer PRIMARY KEY REFERENCES raw.tags,
    source_ts timestamptz NOT NULL,
    server_ts timestamptz,
    value double precision,
    value_text text,
    status bigint NOT NULL,
    landed_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE raw.sensor_gaps (
    gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag_id integer NOT NULL REFERENCES raw.tags,
    from_ts timestamptz NOT NULL,
    to_ts timestamptz,
    cause text NOT NULL,
    repaired boolean NOT NULL DEFAULT false,
    detail text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sensor_gaps_tag ON raw.sensor_gaps (tag_id, from_ts);
COMMENT ON COLUMN raw.sensor_gaps.to_ts IS 'NULL while the gap is still open';

CREATE TABLE raw.rejected_events (
    rejected_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag_id integer,
    server text,
    node_id text,
    source_ts timestamptz,
    payload text,
    status bigint,
    reason text NOT NULL,
    origin raw.origin NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Create the day partitions that a stretch of source time needs; called by ingest before it lands, and ahead of time.
-- Attached, not created in place: CREATE TABLE … PARTITION OF would wait for every reader of the table, and all writers for it.
CREATE FUNCTION raw.ensure_partitions(from_ts timestamptz, to_ts timestamptz) RETURNS integer
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
        EXECUTE format('CREATE TABLE raw.%I (LIKE raw.sensor_events INCLUDING DEFAULTS)', name);
        EXECUTE format(
            'ALTER TABLE raw.sensor_events ATTACH PARTITION raw.%I FOR VALUES FROM (%L) TO (%L)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
REVOKE EXECUTE ON FUNCTION raw.ensure_partitions FROM public;
GRANT EXECUTE ON FUNCTION raw.ensure_partitions TO millwright_ingest;

GRANT INSERT, UPDATE ON raw.plants, raw.equipment, raw.tags, raw.tag_latest, raw.sensor_gaps TO millwright_ingest;
GRANT INSERT, UPDATE, DELETE ON raw.limits TO millwright_ingest;
GRANT INSERT ON raw.sensor_events TO millwright_ingest;
GRANT INSERT, DELETE ON raw.rejected_events TO millwright_ingest;
