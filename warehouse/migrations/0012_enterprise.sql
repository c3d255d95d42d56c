-- More of the plant's other systems, what of it was changed by which transaction, and what could not be loaded.
CREATE TABLE raw.mes_production_orders (
    order_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    product text NOT NULL,
    planned_quantity double precision NOT NULL CHECK (planned_quantity >= 0),
    unit text NOT NULL,
    planned_rate double precision NOT NULL CHECK (planned_rate >= 0),
    planned_start timestamptz NOT NULL,
    planned_end timestamptz NOT NULL,
    actual_start timestamptz,
    actual_end timestamptz,
    status text NOT NULL CHECK (status IN ('planned', 'running', 'completed', 'cancelled')),
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (planned_end > planned_start),
    CHECK (actual_end >= actual_start)
);
CREATE INDEX mes_production_orders_equipment ON raw.mes_production_orders (equipment_id, planned_start);
COMMENT ON TABLE raw.mes_production_orders IS 'One row per production order of a machine, from the MES.';
COMMENT ON COLUMN raw.mes_production_orders.planned_rate IS 'in `unit` an hour';

CREATE TABLE raw.mes_production_counts (
    count_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    order_id text,
    from_ts timestamptz NOT NULL,
    to_ts timestamptz NOT NULL,
    produced_quantity double precision NOT NULL CHECK (produced_quantity >= 0),
    good_quantity double precision NOT NULL CHECK (good_quantity >= 0),
    unit text NOT NULL,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (to_ts > from_ts),
    CHECK (good_quantity <= produced_quantity)
);
CREATE INDEX mes_production_counts_equipment ON raw.mes_production_counts (equipment_id, from_ts);
COMMENT ON TABLE raw.mes_production_counts IS 'One row per counted stretch of a machine: what came out and what of it was good, from the MES.';

CREATE TABLE raw.mes_downtime (
    downtime_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    planned boolean NOT NULL,
    reason text NOT NULL,
    work_order_id text,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (ends_at > starts_at)
);
CREATE INDEX mes_downtime_equipment ON raw.mes_downtime (equipment_id, starts_at);
COMMENT ON TABLE raw.mes_downtime IS 'One row per stretch in which a machine stood, planned or not, from the MES.';
COMMENT ON COLUMN raw.mes_downtime.ends_at IS 'NULL while the machine still stands';

CREATE TABLE raw.sap_plants (
    plant_id text PRIMARY KEY,
    name text NOT NULL,
    country text NOT NULL,
    city text,
    currency text,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE raw.sap_plants IS 'One row per plant, from SAP; raw.plants has those of the plant files.';

CREATE TABLE raw.cmms_maintenance (
    maintenance_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    component text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('proactive', 'corrective')),
    performed_at timestamptz NOT NULL,
    work_order_id text,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX cmms_maintenance_equipment ON raw.cmms_maintenance (equipment_id, performed_at);
COMMENT ON TABLE raw.cmms_maintenance IS 'One row per component of a machine that was serviced or replaced, from the CMMS.';
COMMENT ON COLUMN raw.cmms_maintenance.kind IS 'corrective: after a failure of the component';

CREATE TABLE raw.cmms_errors (
    error_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    error_code text NOT NULL,
    occurred_at timestamptz NOT NULL,
    message text,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX cmms_errors_equipment ON raw.cmms_errors (equipment_id, occurred_at);
COMMENT ON TABLE raw.cmms_errors IS 'One row per error that a machine reported while it went on, from the CMMS.';

ALTER TABLE raw.mes_shifts ADD COLUMN plant_id text;
COMMENT ON COLUMN raw.mes_shifts.plant_id IS 'NULL: the shift is that of every plant';

CREATE TABLE raw.former_rows (
    former_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    row jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX former_rows_changed ON raw.former_rows (changed_xid);
COMMENT ON TABLE raw.former_rows IS
'One row per change of a row of an enterprise table: what it was before. A stretch that was moved or taken back touches what it once covered.';

-- A change is told by who makes it: the loader, and a person in psql as well.
CREATE FUNCTION raw.row_changed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO raw.former_rows (table_name, row) VALUES (tg_table_name, to_jsonb(old));
    IF tg_op = 'DELETE' THEN
        RETURN old;
    END IF;
    new.loaded_at := clock_timestamp();
    new.loaded_xid := pg_current_xact_id();
    RETURN new;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'mes_production_orders', 'mes_production_counts', 'mes_downtime', 'mes_shifts', 'mes_schedules',
        'mes_quality_inspections', 'sap_plants', 'sap_equipment', 'sap_spare_parts', 'cmms_work_orders',
        'cmms_failures', 'cmms_maintenance', 'cmms_errors'
    ] LOOP
        EXECUTE format('ALTER TABLE raw.%I ADD COLUMN loaded_xid xid8 NOT NULL DEFAULT pg_current_xact_id()', name);
        EXECUTE format('CREATE INDEX %I ON raw.%I (loaded_xid)', name || '_loaded', name);
        EXECUTE format('COMMENT ON COLUMN raw.%I.loaded_xid IS %L', name, 'the transaction that brought or last changed the row');
        EXECUTE format('CREATE TRIGGER row_changed BEFORE UPDATE OR DELETE ON raw.%I FOR EACH ROW EXECUTE FUNCTION raw.row_changed()', name);
        EXECUTE format('GRANT INSERT, UPDATE ON raw.%I TO millwright_ingest', name);
    END LOOP;
END $$;

CREATE TABLE raw.rejected_rows (
    rejected_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system text NOT NULL,
    table_name text NOT NULL,
    file text NOT NULL,
    line bigint NOT NULL,
    row jsonb NOT NULL,
    column_name text,
    reason text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- A load that is repeated refuses the same row for the same reason; it is kept once.
CREATE UNIQUE INDEX rejected_rows_once ON raw.rejected_rows (table_name, md5(row::text), md5(reason));
COMMENT ON TABLE raw.rejected_rows IS 'One row per row of an enterprise system''s export that could not be loaded, with the reason.';
COMMENT ON COLUMN raw.rejected_rows.file IS 'the file it came from, or the name of the query';
COMMENT ON COLUMN raw.rejected_rows.line IS 'of a CSV; the number of the row in Parquet and in the result of a query';
COMMENT ON COLUMN raw.rejected_rows.row IS 'as it was given, before any conversion';

CREATE TABLE raw.loads (
    load_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system text NOT NULL,
    table_name text NOT NULL,
    file text NOT NULL,
    row_count bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    rejected bigint NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX loads_table ON raw.loads (table_name, loaded_at);
COMMENT ON TABLE raw.loads IS 'One row per load of an enterprise table: a table is as fresh as its last load, also of one that brought nothing new.';
COMMENT ON COLUMN raw.loads.file IS 'the file it came from, or the name of the query';

GRANT INSERT ON raw.former_rows, raw.rejected_rows, raw.loads TO millwright_ingest;
