-- Enterprise systems as they export themselves: MES, SAP, CMMS. Loaded by `python -m ingest load`.
-- available_at is when the plant could have known the row; training looks at nothing later.
CREATE TABLE raw.mes_shifts (
    shift_id text PRIMARY KEY,
    shift text NOT NULL,
    crew text,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (ends_at > starts_at)
);
CREATE TABLE raw.mes_schedules (
    schedule_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    order_id text,
    product text,
    planned_state text NOT NULL CHECK (planned_state IN ('production', 'maintenance', 'idle')),
    planned_rate double precision,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (ends_at > starts_at)
);
CREATE INDEX mes_schedules_equipment ON raw.mes_schedules (equipment_id, starts_at);
CREATE TABLE raw.mes_quality_inspections (
    inspection_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    order_id text,
    inspected_at timestamptz NOT NULL,
    sample_size integer NOT NULL CHECK (sample_size > 0),
    defects integer NOT NULL CHECK (defects >= 0),
    defect_type text,
    passed boolean NOT NULL,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE raw.sap_equipment (
    equipment_id text PRIMARY KEY,
    plant_id text NOT NULL,
    manufacturer text,
    model text NOT NULL,
    commissioned_on date NOT NULL,
    criticality text NOT NULL CHECK (criticality IN ('A', 'B', 'C')),
    downtime_cost_per_h numeric(12, 2),
    currency text,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE raw.sap_spare_parts (
    part_id text PRIMARY KEY,
    plant_id text NOT NULL,
    description text NOT NULL,
    component text NOT NULL,
    model text NOT NULL,
    stock integer NOT NULL CHECK (stock >= 0),
    lead_time_days integer,
    unit_cost numeric(12, 2),
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE raw.cmms_work_orders (
    work_order_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('preventive', 'corrective', 'inspection')),
    component text,
    problem_code text,
    action_taken text,
    opened_at timestamptz NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX cmms_work_orders_equipment ON raw.cmms_work_orders (equipment_id, opened_at);
CREATE TABLE raw.cmms_failures (
    failure_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    component text NOT NULL,
    failure_mode text NOT NULL,
    failed_at timestamptz NOT NULL,
    repaired_at timestamptz,
    work_order_id text,
    available_at timestamptz NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX cmms_failures_equipment ON raw.cmms_failures (equipment_id, failed_at);
COMMENT ON COLUMN raw.cmms_failures.failure_mode IS
'as the maintainers code it: bearing_wear, cooling_loss, blockage, belt_slip, sensor_stuck, sensor_drift, …';

-- Operators' answers, brought here by sync_feedback; append-only.
CREATE TABLE raw.operator_feedback (
    feedback_id text PRIMARY KEY,
    recommendation_id text,
    equipment_id text NOT NULL,
    recommendation_timestamp timestamptz(3) NOT NULL,
    action_code text,
    anomaly_score double precision,
    operator_action text NOT NULL,
    operator_id text,
    action_timestamp timestamptz NOT NULL,
    operator_notes text,
    shift text,
    session_id text,
    asked_genie boolean,
    created_at timestamptz NOT NULL,
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT INSERT, UPDATE ON raw.mes_shifts, raw.mes_schedules, raw.mes_quality_inspections, raw.sap_equipment, raw.sap_spare_parts,
raw.cmms_work_orders, raw.cmms_failures TO millwright_ingest;
GRANT INSERT ON raw.operator_feedback TO millwright_score;
