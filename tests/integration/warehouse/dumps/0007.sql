SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA intermediate;
ALTER SCHEMA intermediate OWNER TO millwright_transform;
CREATE SCHEMA marts;
ALTER SCHEMA marts OWNER TO millwright_transform;
CREATE SCHEMA ml;
ALTER SCHEMA ml OWNER TO millwright;
CREATE SCHEMA ops;
ALTER SCHEMA ops OWNER TO millwright;
CREATE SCHEMA raw;
ALTER SCHEMA raw OWNER TO millwright;
CREATE SCHEMA serving;
ALTER SCHEMA serving OWNER TO millwright;
CREATE SCHEMA staging;
ALTER SCHEMA staging OWNER TO millwright_transform;
CREATE TYPE raw.origin AS ENUM (
    'live',
    'history',
    'backfill'
);
ALTER TYPE raw.origin OWNER TO millwright;
CREATE TYPE raw.tag_role AS ENUM (
    'measurement',
    'set_point',
    'state',
    'counter'
);
ALTER TYPE raw.tag_role OWNER TO millwright;
CREATE FUNCTION raw.ensure_partitions(from_ts timestamp with time zone, to_ts timestamp with time zone) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION raw.ensure_partitions(from_ts timestamp with time zone, to_ts timestamp with time zone) OWNER TO millwright;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE serving.critical_alerts (
    alert_id bigint NOT NULL,
    equipment_id text NOT NULL,
    tag_id integer NOT NULL,
    measurement text NOT NULL,
    "position" text DEFAULT ''::text NOT NULL,
    "timestamp" timestamp(3) with time zone NOT NULL,
    severity text NOT NULL,
    direction text NOT NULL,
    value double precision NOT NULL,
    limit_value double precision NOT NULL,
    unit text DEFAULT ''::text NOT NULL,
    action_code text NOT NULL,
    recommendation_text text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    transitions integer DEFAULT 1 NOT NULL,
    acknowledged_by text,
    acknowledged_at timestamp with time zone,
    shelved_by text,
    shelved_until timestamp with time zone,
    cleared_at timestamp with time zone,
    raised_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT critical_alerts_direction_check CHECK ((direction = ANY (ARRAY['high'::text, 'low'::text]))),
    CONSTRAINT critical_alerts_severity_check CHECK ((severity = ANY (ARRAY['warning'::text, 'critical'::text, 'emergency'::text]))),
    CONSTRAINT critical_alerts_state_check CHECK ((state = ANY (ARRAY['active'::text, 'acknowledged'::text, 'shelved'::text, 'cleared'::text])))
);
ALTER TABLE serving.critical_alerts OWNER TO millwright;
CREATE FUNCTION serving.acknowledge_alert(p_alert_id bigint, p_operator_id text) RETURNS serving.critical_alerts
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    alert serving.critical_alerts;
BEGIN
    IF coalesce(p_operator_id, '') = '' THEN
        RAISE EXCEPTION 'operator_id is empty: an alert is acknowledged by someone' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE serving.critical_alerts
    SET state = 'acknowledged', acknowledged_by = p_operator_id, acknowledged_at = clock_timestamp(), shelved_until = NULL
    WHERE alert_id = p_alert_id AND state <> 'cleared' RETURNING * INTO alert;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no open alert %', p_alert_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN alert;
END $$;
ALTER FUNCTION serving.acknowledge_alert(p_alert_id bigint, p_operator_id text) OWNER TO millwright;
CREATE FUNCTION serving.acknowledge_alert(p_alert_id text, p_operator_id text) RETURNS serving.critical_alerts
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT serving.acknowledge_alert(serving.read_alert_id(p_alert_id), p_operator_id);
$$;
ALTER FUNCTION serving.acknowledge_alert(p_alert_id text, p_operator_id text) OWNER TO millwright;
CREATE FUNCTION serving.announce(payload jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    short jsonb := payload;
    length integer := 2000;
BEGIN
    LOOP
        short := jsonb_set(short, '{recommendation_text}', to_jsonb(left(payload ->> 'recommendation_text', length)));
        EXIT WHEN length = 0 OR octet_length(short::text) < 7900;
        length := length / 2;
    END LOOP;
    IF octet_length(short::text) < 7900 THEN
        PERFORM pg_notify('equipment_recommendations', short::text);
    END IF;
END $$;
ALTER FUNCTION serving.announce(payload jsonb) OWNER TO millwright;
CREATE FUNCTION serving.announce_alert() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM serving.announce(jsonb_build_object(
        'kind', 'alert', 'alert_id', NEW.alert_id, 'equipment_id', NEW.equipment_id, 'timestamp', NEW.timestamp, 'severity', NEW.severity,
        'action_code', NEW.action_code, 'recommendation_text', NEW.recommendation_text, 'state', NEW.state));
    RETURN NULL;
END $$;
ALTER FUNCTION serving.announce_alert() OWNER TO millwright;
CREATE FUNCTION serving.announce_recommendation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    PERFORM serving.announce(jsonb_build_object(
        'kind', 'recommendation', 'recommendation_id', NEW.recommendation_id, 'equipment_id', NEW.equipment_id, 'timestamp', NEW.timestamp,
        'severity', NEW.severity, 'action_code', NEW.action_code, 'recommendation_text', NEW.recommendation_text,
        'anomaly_score', NEW.anomaly_score, 'confidence', NEW.confidence, 'published_at', NEW.published_at, 'returned', TG_OP = 'UPDATE'));
    RETURN NULL;
END $$;
ALTER FUNCTION serving.announce_recommendation() OWNER TO millwright;
CREATE FUNCTION serving.answer_recommendation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    answer serving.operator_answers;
    existing serving.operator_answers;
BEGIN
    answer.feedback_id := NEW.feedback_id;
    answer.equipment_id := NEW.equipment_id;
    answer.recommendation_timestamp := serving.read_timestamp(NEW.recommendation_timestamp, 'recommendation_timestamp');
    answer.action_code := NEW.action_code;
    answer.operator_action := NEW.operator_action;
    answer.operator_id := NEW.operator_id;
    answer.action_timestamp := coalesce(serving.read_timestamp(NEW.action_timestamp, 'action_timestamp'), clock_timestamp());
    answer.operator_notes := NEW.operator_notes;
    answer.shift := NEW.shift;
    answer.session_id := NEW.session_id;
    answer.created_at := clock_timestamp();
    IF NEW.feedback_id IS NULL OR NEW.feedback_id = '' THEN
        RAISE EXCEPTION 'feedback_id is empty: give every answer an id of its own' USING ERRCODE = 'not_null_violation';
    END IF;
    IF NEW.operator_action IS NULL OR NEW.operator_action NOT IN ('executed', 'deferred', 'rejected', 'ask_ai_why') THEN
        RAISE EXCEPTION 'operator_action must be one of executed, deferred, rejected, ask_ai_why. Got: %', quote_nullable(NEW.operator_action)
            USING ERRCODE = 'check_violation';
    END IF;
    BEGIN
        answer.anomaly_score := nullif(NEW.anomaly_score, '')::double precision;
    EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
        answer.anomaly_score := 'NaN';
    END;
    IF answer.anomaly_score IN ('NaN', 'Infinity', '-Infinity') THEN
        RAISE EXCEPTION 'anomaly_score is not a number: got %', quote_literal(NEW.anomaly_score) USING ERRCODE = 'invalid_text_representation';
    END IF;
    BEGIN
        answer.asked_genie := nullif(NEW.asked_genie, '')::boolean;
    EXCEPTION WHEN invalid_text_representation THEN
        RAISE EXCEPTION 'asked_genie is not a boolean: got %', quote_literal(NEW.asked_genie) USING ERRCODE = 'invalid_text_representation';
    END;
    SELECT r.recommendation_id INTO answer.recommendation_id
    FROM serving.recommendations_serving AS r
    WHERE r.equipment_id = answer.equipment_id AND r.timestamp = answer.recommendation_timestamp;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no recommendation for equipment % at %', quote_nullable(NEW.equipment_id), quote_nullable(NEW.recommendation_timestamp)
            USING ERRCODE = 'foreign_key_violation', HINT = 'send equipment_id and timestamp as recommendations_serving shows them';
    END IF;
    INSERT INTO serving.operator_answers SELECT answer.* ON CONFLICT (feedback_id) DO NOTHING;
    IF NOT FOUND THEN
        -- An HMI that lost the reply sends again: the same answer is taken once; another one under its id is a mistake.
        SELECT * INTO existing FROM serving.operator_answers AS a WHERE a.feedback_id = answer.feedback_id;
        IF (existing.recommendation_id, existing.operator_action, existing.operator_id)
            IS DISTINCT FROM (answer.recommendation_id, answer.operator_action, answer.operator_id) THEN
            RAISE EXCEPTION 'feedback_id % was used for another answer', quote_literal(NEW.feedback_id) USING ERRCODE = 'unique_violation';
        END IF;
        RETURN NEW;
    END IF;
    UPDATE serving.recommendations_serving AS r
    SET status = answer.operator_action,
        -- The HMI's clock may be ahead; a deferral must not outlast the policy.
        deferred_until = CASE WHEN answer.operator_action = 'deferred'
            THEN least(answer.action_timestamp, answer.created_at) + (SELECT p.deferral FROM serving.policy AS p) END
    WHERE r.recommendation_id = answer.recommendation_id AND answer.operator_action <> 'ask_ai_why';
    RETURN NEW;
END $$;
ALTER FUNCTION serving.answer_recommendation() OWNER TO millwright;
CREATE FUNCTION serving.read_alert_id(given text) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN given::bigint;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
    RAISE EXCEPTION 'alert_id is not a whole number: got %', quote_nullable(given) USING ERRCODE = 'invalid_text_representation';
END $$;
ALTER FUNCTION serving.read_alert_id(given text) OWNER TO millwright;
CREATE FUNCTION serving.read_timestamp(given text, what text) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    result timestamptz;
BEGIN
    BEGIN
        -- Ignition's dates are milliseconds since 1970.
        result := CASE WHEN given ~ '^\d{12,13}$' THEN to_timestamp(given::bigint / 1000.0) ELSE nullif(given, '')::timestamptz END;
    EXCEPTION WHEN invalid_datetime_format OR datetime_field_overflow OR invalid_parameter_value THEN
        result := 'infinity';
    END;
    IF NOT isfinite(result) THEN
        RAISE EXCEPTION '% is not a timestamp: got %, allowed is ISO 8601 or milliseconds since 1970', what, quote_nullable(given)
            USING ERRCODE = 'invalid_datetime_format';
    END IF;
    RETURN result;
END $_$;
ALTER FUNCTION serving.read_timestamp(given text, what text) OWNER TO millwright;
CREATE FUNCTION serving.shelve_alert(p_alert_id bigint, p_operator_id text, p_until timestamp with time zone) RETURNS serving.critical_alerts
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    alert serving.critical_alerts;
BEGIN
    IF coalesce(p_operator_id, '') = '' THEN
        RAISE EXCEPTION 'operator_id is empty: an alert is shelved by someone' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_until IS NULL OR NOT isfinite(p_until) OR p_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'until must lie in the future. Got: %', coalesce(p_until::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE serving.critical_alerts SET state = 'shelved', shelved_by = p_operator_id, shelved_until = p_until
    WHERE alert_id = p_alert_id AND state <> 'cleared' RETURNING * INTO alert;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no open alert %', p_alert_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN alert;
END $$;
ALTER FUNCTION serving.shelve_alert(p_alert_id bigint, p_operator_id text, p_until timestamp with time zone) OWNER TO millwright;
CREATE FUNCTION serving.shelve_alert(p_alert_id text, p_operator_id text, p_until text) RETURNS serving.critical_alerts
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT serving.shelve_alert(serving.read_alert_id(p_alert_id), p_operator_id, serving.read_timestamp(p_until, 'until'));
$$;
ALTER FUNCTION serving.shelve_alert(p_alert_id text, p_operator_id text, p_until text) OWNER TO millwright;
CREATE TABLE ml.drift (
    drift_id bigint NOT NULL,
    moment timestamp with time zone NOT NULL,
    model_version text NOT NULL,
    feature text NOT NULL,
    statistic text NOT NULL,
    value double precision,
    drifted boolean NOT NULL
);
ALTER TABLE ml.drift OWNER TO millwright;
ALTER TABLE ml.drift ALTER COLUMN drift_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ml.drift_drift_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ml.evaluations (
    evaluation_id bigint NOT NULL,
    training_id text,
    model_version text NOT NULL,
    held_out_from timestamp with time zone NOT NULL,
    held_out_to timestamp with time zone NOT NULL,
    metric text NOT NULL,
    value double precision,
    evaluated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ml.evaluations OWNER TO millwright;
ALTER TABLE ml.evaluations ALTER COLUMN evaluation_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ml.evaluations_evaluation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ml.labels (
    label_id bigint NOT NULL,
    equipment_id text NOT NULL,
    from_ts timestamp with time zone NOT NULL,
    to_ts timestamp with time zone NOT NULL,
    label text NOT NULL,
    action_code text,
    source text NOT NULL,
    source_id text NOT NULL,
    judged_by text,
    judged_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT labels_label_check CHECK ((label = ANY (ARRAY['true_positive'::text, 'false_positive'::text, 'undecided'::text]))),
    CONSTRAINT labels_source_check CHECK ((source = ANY (ARRAY['feedback'::text, 'cmms'::text])))
);
ALTER TABLE ml.labels OWNER TO millwright;
ALTER TABLE ml.labels ALTER COLUMN label_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ml.labels_label_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ml.promotions (
    promotion_id bigint NOT NULL,
    moment timestamp with time zone NOT NULL,
    gate text NOT NULL,
    candidate_version text,
    champion_version text,
    criterion text NOT NULL,
    candidate_value double precision,
    champion_value double precision,
    bound double precision,
    passed boolean NOT NULL,
    decision text,
    reason text NOT NULL,
    decided_by text DEFAULT 'gate'::text NOT NULL,
    decided_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT promotions_gate_check CHECK ((gate = ANY (ARRAY['first_model'::text, 'challenger'::text, 'promote'::text, 'rollback'::text, 'manual'::text])))
);
ALTER TABLE ml.promotions OWNER TO millwright;
ALTER TABLE ml.promotions ALTER COLUMN promotion_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ml.promotions_promotion_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ml.recommendations (
    recommendation_id text NOT NULL,
    equipment_id text NOT NULL,
    "timestamp" timestamp(3) with time zone NOT NULL,
    score_id bigint,
    anomaly_score double precision NOT NULL,
    severity text NOT NULL,
    action_code text NOT NULL,
    recommendation_text text NOT NULL,
    confidence double precision NOT NULL,
    estimated_ttf double precision,
    temp_avg_5min double precision,
    vibration_avg_5min double precision,
    throughput_avg_5min double precision,
    model_version text NOT NULL,
    held_reason text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT recommendations_severity_check CHECK ((severity = ANY (ARRAY['minor'::text, 'significant'::text, 'critical'::text])))
);
ALTER TABLE ml.recommendations OWNER TO millwright;
CREATE TABLE ml.scored_features (
    score_id bigint NOT NULL,
    equipment_id text NOT NULL,
    window_end timestamp with time zone NOT NULL,
    features jsonb NOT NULL,
    contract text NOT NULL
);
ALTER TABLE ml.scored_features OWNER TO millwright;
CREATE TABLE ml.scores (
    score_id bigint NOT NULL,
    equipment_id text NOT NULL,
    window_end timestamp with time zone NOT NULL,
    model_version text NOT NULL,
    role text NOT NULL,
    anomaly_score double precision NOT NULL,
    unsupervised_score double precision,
    supervised_score double precision,
    action_code text NOT NULL,
    confidence double precision NOT NULL,
    estimated_ttf double precision,
    over_gap boolean DEFAULT false NOT NULL,
    moment timestamp with time zone NOT NULL,
    scored_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    superseded_at timestamp with time zone,
    CONSTRAINT scores_anomaly_score_check CHECK (((anomaly_score >= (0)::double precision) AND (anomaly_score <= (1)::double precision))),
    CONSTRAINT scores_confidence_check CHECK (((confidence >= (0)::double precision) AND (confidence <= (1)::double precision))),
    CONSTRAINT scores_role_check CHECK ((role = ANY (ARRAY['champion'::text, 'challenger'::text, 'replayed'::text])))
);
ALTER TABLE ml.scores OWNER TO millwright;
ALTER TABLE ml.scores ALTER COLUMN score_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ml.scores_score_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ml.training_runs (
    training_id text NOT NULL,
    moment timestamp with time zone NOT NULL,
    model_version text,
    mlflow_run_id text,
    training_rows integer,
    positive_rows integer,
    held_out_rows integer,
    data_hash text,
    seed integer NOT NULL,
    outcome text NOT NULL,
    reason text,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT training_runs_outcome_check CHECK ((outcome = ANY (ARRAY['trained'::text, 'refused'::text, 'failed'::text])))
);
ALTER TABLE ml.training_runs OWNER TO millwright;
CREATE TABLE ops.data_quality_results (
    result_id bigint NOT NULL,
    checkpoint text NOT NULL,
    moment timestamp with time zone NOT NULL,
    expectation text NOT NULL,
    subject text NOT NULL,
    succeeded boolean NOT NULL,
    blocking boolean NOT NULL,
    observed jsonb,
    detail text,
    checked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ops.data_quality_results OWNER TO millwright;
ALTER TABLE ops.data_quality_results ALTER COLUMN result_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ops.data_quality_results_result_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE ops.pipeline_metrics (
    measured_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    stage text NOT NULL,
    metric text NOT NULL,
    value double precision NOT NULL,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL
);
ALTER TABLE ops.pipeline_metrics OWNER TO millwright;
CREATE TABLE ops.transform_runs (
    run_id text NOT NULL,
    since pg_snapshot,
    until pg_snapshot NOT NULL,
    moment timestamp with time zone NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    succeeded boolean
);
ALTER TABLE ops.transform_runs OWNER TO millwright;
CREATE TABLE ops.watermarks (
    pipeline text NOT NULL,
    snapshot pg_snapshot NOT NULL,
    system_identifier bigint NOT NULL,
    moment timestamp with time zone NOT NULL,
    moved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ops.watermarks OWNER TO millwright;
CREATE TABLE public._yoyo_log (
    id character varying(36) NOT NULL,
    migration_hash character varying(64),
    migration_id character varying(255),
    operation character varying(10),
    username character varying(255),
    hostname character varying(255),
    comment character varying(255),
    created_at_utc timestamp without time zone
);
ALTER TABLE public._yoyo_log OWNER TO millwright;
CREATE TABLE public._yoyo_migration (
    migration_hash character varying(64) NOT NULL,
    migration_id character varying(255),
    applied_at_utc timestamp without time zone
);
ALTER TABLE public._yoyo_migration OWNER TO millwright;
CREATE TABLE public._yoyo_version (
    version integer NOT NULL,
    installed_at_utc timestamp without time zone
);
ALTER TABLE public._yoyo_version OWNER TO millwright;
CREATE TABLE public.yoyo_lock (
    locked integer DEFAULT 1 NOT NULL,
    ctime timestamp without time zone,
    pid integer NOT NULL
);
ALTER TABLE public.yoyo_lock OWNER TO millwright;
CREATE TABLE raw.cmms_failures (
    failure_id text NOT NULL,
    equipment_id text NOT NULL,
    component text NOT NULL,
    failure_mode text NOT NULL,
    failed_at timestamp with time zone NOT NULL,
    repaired_at timestamp with time zone,
    work_order_id text,
    available_at timestamp with time zone NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE raw.cmms_failures OWNER TO millwright;
CREATE TABLE raw.cmms_work_orders (
    work_order_id text NOT NULL,
    equipment_id text NOT NULL,
    kind text NOT NULL,
    component text,
    problem_code text,
    action_taken text,
    opened_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    available_at timestamp with time zone NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT cmms_work_orders_kind_check CHECK ((kind = ANY (ARRAY['preventive'::text, 'corrective'::text, 'inspection'::text])))
);
ALTER TABLE raw.cmms_work_orders OWNER TO millwright;
CREATE TABLE raw.equipment (
    equipment_id text NOT NULL,
    plant_id text NOT NULL,
    name text NOT NULL,
    area text,
    equipment_type text NOT NULL,
    load_measurement text,
    rated_load double precision,
    retired_at timestamp with time zone,
    synced_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT equipment_rated_load_check CHECK ((rated_load > (0)::double precision))
);
ALTER TABLE raw.equipment OWNER TO millwright;
CREATE TABLE raw.limits (
    equipment_id text NOT NULL,
    measurement text NOT NULL,
    "position" text DEFAULT ''::text NOT NULL,
    severity text NOT NULL,
    direction text NOT NULL,
    limit_value double precision NOT NULL,
    CONSTRAINT limits_direction_check CHECK ((direction = ANY (ARRAY['high'::text, 'low'::text]))),
    CONSTRAINT limits_severity_check CHECK ((severity = ANY (ARRAY['warning'::text, 'critical'::text, 'emergency'::text])))
);
ALTER TABLE raw.limits OWNER TO millwright;
CREATE TABLE raw.mes_quality_inspections (
    inspection_id text NOT NULL,
    equipment_id text NOT NULL,
    order_id text,
    inspected_at timestamp with time zone NOT NULL,
    sample_size integer NOT NULL,
    defects integer NOT NULL,
    defect_type text,
    passed boolean NOT NULL,
    available_at timestamp with time zone NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT mes_quality_inspections_defects_check CHECK ((defects >= 0)),
    CONSTRAINT mes_quality_inspections_sample_size_check CHECK ((sample_size > 0))
);
ALTER TABLE raw.mes_quality_inspections OWNER TO millwright;
CREATE TABLE raw.mes_schedules (
    schedule_id text NOT NULL,
    equipment_id text NOT NULL,
    order_id text,
    product text,
    planned_state text NOT NULL,
    planned_rate double precision,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    available_at timestamp with time zone NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT mes_schedules_check CHECK ((ends_at > starts_at)),
    CONSTRAINT mes_schedules_planned_state_check CHECK ((planned_state = ANY (ARRAY['production'::text, 'maintenance'::text, 'idle'::text])))
);
ALTER TABLE raw.mes_schedules OWNER TO millwright;
CREATE TABLE raw.mes_shifts (
    shift_id text NOT NULL,
    shift text NOT NULL,
    crew text,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    available_at timestamp with time zone NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT mes_shifts_check CHECK ((ends_at > starts_at))
);
ALTER TABLE raw.mes_shifts OWNER TO millwright;
CREATE TABLE raw.operator_feedback (
    feedback_id text NOT NULL,
    recommendation_id text,
    equipment_id text NOT NULL,
    recommendation_timestamp timestamp(3) with time zone NOT NULL,
    action_code text,
    anomaly_score double precision,
    operator_action text NOT NULL,
    operator_id text,
    action_timestamp timestamp with time zone NOT NULL,
    operator_notes text,
    shift text,
    session_id text,
    asked_genie boolean,
    created_at timestamp with time zone NOT NULL,
    synced_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE raw.operator_feedback OWNER TO millwright;
CREATE TABLE raw.plants (
    plant_id text NOT NULL,
    name text NOT NULL,
    timezone text NOT NULL,
    synced_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE raw.plants OWNER TO millwright;
CREATE TABLE raw.rejected_events (
    rejected_id bigint NOT NULL,
    tag_id integer,
    server text,
    node_id text,
    source_ts timestamp with time zone,
    payload text,
    status bigint,
    reason text NOT NULL,
    origin raw.origin NOT NULL,
    rejected_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE raw.rejected_events OWNER TO millwright;
ALTER TABLE raw.rejected_events ALTER COLUMN rejected_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME raw.rejected_events_rejected_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE raw.sap_equipment (
    equipment_id text NOT NULL,
    plant_id text NOT NULL,
    manufacturer text,
    model text NOT NULL,
    commissioned_on date NOT NULL,
    criticality text NOT NULL,
    downtime_cost_per_h numeric(12,2),
    currency text,
    available_at timestamp with time zone NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT sap_equipment_criticality_check CHECK ((criticality = ANY (ARRAY['A'::text, 'B'::text, 'C'::text])))
);
ALTER TABLE raw.sap_equipment OWNER TO millwright;
CREATE TABLE raw.sap_spare_parts (
    part_id text NOT NULL,
    plant_id text NOT NULL,
    description text NOT NULL,
    component text NOT NULL,
    model text NOT NULL,
    stock integer NOT NULL,
    lead_time_days integer,
    unit_cost numeric(12,2),
    available_at timestamp with time zone NOT NULL,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT sap_spare_parts_stock_check CHECK ((stock >= 0))
);
ALTER TABLE raw.sap_spare_parts OWNER TO millwright;
CREATE TABLE raw.sensor_events (
    tag_id integer NOT NULL,
    source_ts timestamp with time zone NOT NULL,
    server_ts timestamp with time zone,
    value double precision,
    value_text text,
    status bigint NOT NULL,
    digest bigint NOT NULL,
    origin raw.origin NOT NULL,
    available_at timestamp with time zone NOT NULL,
    landed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    landed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL
)
PARTITION BY RANGE (source_ts);
ALTER TABLE raw.sensor_events OWNER TO millwright;
CREATE TABLE raw.sensor_events_20261101 (
    tag_id integer CONSTRAINT sensor_events_tag_id_not_null NOT NULL,
    source_ts timestamp with time zone CONSTRAINT sensor_events_source_ts_not_null NOT NULL,
    server_ts timestamp with time zone,
    value double precision,
    value_text text,
    status bigint CONSTRAINT sensor_events_status_not_null NOT NULL,
    digest bigint CONSTRAINT sensor_events_digest_not_null NOT NULL,
    origin raw.origin CONSTRAINT sensor_events_origin_not_null NOT NULL,
    available_at timestamp with time zone CONSTRAINT sensor_events_available_at_not_null NOT NULL,
    landed_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT sensor_events_landed_at_not_null NOT NULL,
    landed_xid xid8 DEFAULT pg_current_xact_id() CONSTRAINT sensor_events_landed_xid_not_null NOT NULL
);
ALTER TABLE raw.sensor_events_20261101 OWNER TO millwright;
CREATE TABLE raw.sensor_events_20261102 (
    tag_id integer CONSTRAINT sensor_events_tag_id_not_null NOT NULL,
    source_ts timestamp with time zone CONSTRAINT sensor_events_source_ts_not_null NOT NULL,
    server_ts timestamp with time zone,
    value double precision,
    value_text text,
    status bigint CONSTRAINT sensor_events_status_not_null NOT NULL,
    digest bigint CONSTRAINT sensor_events_digest_not_null NOT NULL,
    origin raw.origin CONSTRAINT sensor_events_origin_not_null NOT NULL,
    available_at timestamp with time zone CONSTRAINT sensor_events_available_at_not_null NOT NULL,
    landed_at timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT sensor_events_landed_at_not_null NOT NULL,
    landed_xid xid8 DEFAULT pg_current_xact_id() CONSTRAINT sensor_events_landed_xid_not_null NOT NULL
);
ALTER TABLE raw.sensor_events_20261102 OWNER TO millwright;
CREATE TABLE raw.sensor_gaps (
    gap_id bigint NOT NULL,
    tag_id integer NOT NULL,
    from_ts timestamp with time zone NOT NULL,
    to_ts timestamp with time zone,
    cause text NOT NULL,
    repaired boolean DEFAULT false NOT NULL,
    detail text,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE raw.sensor_gaps OWNER TO millwright;
ALTER TABLE raw.sensor_gaps ALTER COLUMN gap_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME raw.sensor_gaps_gap_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE raw.tag_latest (
    tag_id integer NOT NULL,
    source_ts timestamp with time zone NOT NULL,
    server_ts timestamp with time zone,
    value double precision,
    value_text text,
    status bigint NOT NULL,
    landed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='2000');
ALTER TABLE raw.tag_latest OWNER TO millwright;
CREATE TABLE raw.tags (
    tag_id integer NOT NULL,
    server text NOT NULL,
    node_id text NOT NULL,
    equipment_id text NOT NULL,
    measurement text NOT NULL,
    "position" text DEFAULT ''::text NOT NULL,
    role raw.tag_role DEFAULT 'measurement'::raw.tag_role NOT NULL,
    unit text DEFAULT ''::text NOT NULL,
    data_type text NOT NULL,
    states jsonb DEFAULT '{}'::jsonb NOT NULL,
    valid_from timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    valid_to timestamp with time zone,
    CONSTRAINT tags_check CHECK ((valid_to > valid_from)),
    CONSTRAINT tags_data_type_check CHECK ((data_type = ANY (ARRAY['double'::text, 'integer'::text, 'boolean'::text, 'string'::text, 'datetime'::text])))
);
ALTER TABLE raw.tags OWNER TO millwright;
ALTER TABLE raw.tags ALTER COLUMN tag_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME raw.tags_tag_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE serving.critical_alerts ALTER COLUMN alert_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME serving.critical_alerts_alert_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW serving.equipment_state AS
SELECT
    NULL::text AS equipment_id,
    NULL::text AS equipment_name,
    NULL::text AS area,
    NULL::text AS equipment_type,
    NULL::text AS run_state,
    NULL::double precision AS temperature,
    NULL::double precision AS vibration,
    NULL::double precision AS pressure,
    NULL::double precision AS throughput,
    NULL::double precision AS power,
    NULL::double precision AS speed,
    NULL::double precision AS current,
    NULL::double precision AS voltage,
    NULL::bigint AS bad_tags,
    NULL::timestamp with time zone AS last_value_at,
    NULL::double precision AS data_age_s;
ALTER VIEW serving.equipment_state OWNER TO millwright;
CREATE TABLE serving.recommendations_serving (
    recommendation_id text NOT NULL,
    equipment_id text NOT NULL,
    "timestamp" timestamp(3) with time zone NOT NULL,
    anomaly_score double precision NOT NULL,
    severity text NOT NULL,
    action_code text NOT NULL,
    recommendation_text text NOT NULL,
    confidence double precision NOT NULL,
    estimated_ttf double precision,
    temp_avg_5min double precision,
    vibration_avg_5min double precision,
    throughput_avg_5min double precision,
    status text DEFAULT 'pending'::text NOT NULL,
    model_version text NOT NULL,
    deferred_until timestamp with time zone,
    published_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT recommendations_serving_action_code_check CHECK ((action_code = ANY (ARRAY['reduce_speed'::text, 'schedule_maintenance'::text, 'check_blockage'::text, 'emergency_shutdown'::text, 'preventive_inspection'::text, 'continue_operation'::text]))),
    CONSTRAINT recommendations_serving_severity_check CHECK ((severity = ANY (ARRAY['minor'::text, 'significant'::text, 'critical'::text]))),
    CONSTRAINT recommendations_serving_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'executed'::text, 'deferred'::text, 'rejected'::text, 'expired'::text])))
);
ALTER TABLE serving.recommendations_serving OWNER TO millwright;
CREATE VIEW serving.hmi_dashboard AS
 SELECT s.equipment_id,
    s.equipment_name,
    s.area,
    s.equipment_type,
    s.run_state,
    s.temperature,
    s.vibration,
    s.pressure,
    s.throughput,
    s.power,
    s.speed,
    s.current,
    s.voltage,
    s.bad_tags,
    s.last_value_at,
    s.data_age_s,
    score.anomaly_score,
    score.window_end AS scored_at,
    COALESCE(alerts.open_alerts, (0)::bigint) AS open_alerts,
    alerts.worst_alert,
    pending.recommendation_id,
    pending."timestamp" AS recommendation_timestamp,
    pending.anomaly_score AS recommendation_score,
    pending.severity,
    pending.action_code,
    pending.recommendation_text,
    pending.confidence,
    pending.estimated_ttf
   FROM (((serving.equipment_state s
     LEFT JOIN LATERAL ( SELECT sc.anomaly_score,
            sc.window_end
           FROM ml.scores sc
          WHERE ((sc.equipment_id = s.equipment_id) AND (sc.role = 'champion'::text) AND (sc.superseded_at IS NULL))
          ORDER BY sc.window_end DESC
         LIMIT 1) score ON (true))
     LEFT JOIN LATERAL ( SELECT count(*) AS open_alerts,
            (array_agg(a.severity ORDER BY (array_position(ARRAY['emergency'::text, 'critical'::text, 'warning'::text], a.severity))))[1] AS worst_alert
           FROM serving.critical_alerts a
          WHERE ((a.equipment_id = s.equipment_id) AND (a.state <> 'cleared'::text))) alerts ON (true))
     LEFT JOIN LATERAL ( SELECT r.recommendation_id,
            r.equipment_id,
            r."timestamp",
            r.anomaly_score,
            r.severity,
            r.action_code,
            r.recommendation_text,
            r.confidence,
            r.estimated_ttf,
            r.temp_avg_5min,
            r.vibration_avg_5min,
            r.throughput_avg_5min,
            r.status,
            r.model_version,
            r.deferred_until,
            r.published_at
           FROM serving.recommendations_serving r
          WHERE ((r.equipment_id = s.equipment_id) AND (r.status = 'pending'::text))
          ORDER BY r.anomaly_score DESC
         LIMIT 1) pending ON (true));
ALTER VIEW serving.hmi_dashboard OWNER TO millwright;
CREATE TABLE serving.operator_answers (
    feedback_id text NOT NULL,
    recommendation_id text,
    equipment_id text NOT NULL,
    recommendation_timestamp timestamp(3) with time zone NOT NULL,
    action_code text,
    anomaly_score double precision,
    operator_action text NOT NULL,
    operator_id text,
    action_timestamp timestamp with time zone NOT NULL,
    operator_notes text,
    shift text,
    session_id text,
    asked_genie boolean,
    was_correct boolean,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT operator_answers_operator_action_check CHECK ((operator_action = ANY (ARRAY['executed'::text, 'deferred'::text, 'rejected'::text, 'ask_ai_why'::text])))
);
ALTER TABLE serving.operator_answers OWNER TO millwright;
CREATE VIEW serving.operator_feedback AS
 SELECT feedback_id,
    equipment_id,
    (recommendation_timestamp)::text AS recommendation_timestamp,
    action_code,
    (anomaly_score)::text AS anomaly_score,
    operator_action,
    operator_id,
    (action_timestamp)::text AS action_timestamp,
    operator_notes,
    shift,
    session_id,
    (asked_genie)::text AS asked_genie,
    was_correct,
    created_at
   FROM serving.operator_answers;
ALTER VIEW serving.operator_feedback OWNER TO millwright;
CREATE TABLE serving.policy (
    only_row boolean DEFAULT true NOT NULL,
    deferral interval DEFAULT '00:30:00'::interval NOT NULL,
    CONSTRAINT policy_deferral_check CHECK ((deferral > '00:00:00'::interval)),
    CONSTRAINT policy_only_row_check CHECK (only_row)
);
ALTER TABLE serving.policy OWNER TO millwright;
ALTER TABLE ONLY raw.sensor_events ATTACH PARTITION raw.sensor_events_20261101 FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-11-02 00:00:00+00');
ALTER TABLE ONLY raw.sensor_events ATTACH PARTITION raw.sensor_events_20261102 FOR VALUES FROM ('2026-11-02 00:00:00+00') TO ('2026-11-03 00:00:00+00');
INSERT INTO public._yoyo_migration VALUES ('ec2051cc2372d323046cf096526cb4cd6f3e74b08d9c43613291930acc7c6b68', '0001_schemas', '2026-11-20 22:02:02.894634');
INSERT INTO public._yoyo_migration VALUES ('ed8955480d04bba0eaf4bf2befa39f34496f0be95c9760cc1ca3285eae09ea6f', '0002_raw', '2026-11-20 22:02:02.937775');
INSERT INTO public._yoyo_migration VALUES ('d8797ea25236b9bc7c03d59ae1018fc8067daa01163148206e8247f794abdcb9', '0003_enterprise', '2026-11-20 22:02:02.986356');
INSERT INTO public._yoyo_migration VALUES ('1af58ebee5ce582e6002389fdcff9421651705d9317aab2a9353cfad149cf68c', '0004_ops', '2026-11-20 22:02:03.022177');
INSERT INTO public._yoyo_migration VALUES ('f476d6158a936bd9ae383fdaa327c91d6911847ec95784f88e21df34cab4d318', '0005_ml', '2026-11-20 22:02:03.066448');
INSERT INTO public._yoyo_migration VALUES ('557b41e99f0dfce88f86f87eb23771312266e500cd8766b5f23614ec53b82511', '0006_serving', '2026-11-20 22:02:03.131127');
INSERT INTO public._yoyo_migration VALUES ('3e88d881732ab2e08d602a11ec19f6dceb7c274a4eda8dad1ad0224fdca8e475', '0007_comments', '2026-11-20 22:02:03.158353');
INSERT INTO public._yoyo_version VALUES (2, '2026-11-20 22:02:02.710335');
INSERT INTO raw.equipment VALUES ('HAUL-001', 'DEMO', 'Haul truck 1', 'Mine', 'haul_truck', 'power', 1650, NULL, '2026-11-20 22:02:03.277419+00');
INSERT INTO raw.equipment VALUES ('HAUL-002', 'DEMO', 'Haul truck 2', 'Mine', 'haul_truck', 'power', 1650, NULL, '2026-11-20 22:02:03.277897+00');
INSERT INTO raw.equipment VALUES ('CRUSH-001', 'DEMO', 'Primary jaw crusher', 'Crushing', 'crusher', 'throughput', 1200, NULL, '2026-11-20 22:02:03.277949+00');
INSERT INTO raw.equipment VALUES ('CRUSH-002', 'DEMO', 'Secondary cone crusher', 'Crushing', 'crusher', 'throughput', 950, NULL, '2026-11-20 22:02:03.277989+00');
INSERT INTO raw.equipment VALUES ('SCREEN-001', 'DEMO', 'Vibrating screen', 'Crushing', 'screen', 'throughput', 1100, NULL, '2026-11-20 22:02:03.278018+00');
INSERT INTO raw.equipment VALUES ('CONV-001', 'DEMO', 'Overland conveyor', 'Conveying', 'conveyor', 'throughput', 1200, NULL, '2026-11-20 22:02:03.278085+00');
INSERT INTO raw.equipment VALUES ('CONV-002', 'DEMO', 'Stockpile conveyor', 'Conveying', 'conveyor', 'throughput', 900, NULL, '2026-11-20 22:02:03.278122+00');
INSERT INTO raw.equipment VALUES ('PUMP-001', 'DEMO', 'Slurry pump 1', 'Concentrator', 'pump', 'throughput', 640, NULL, '2026-11-20 22:02:03.278142+00');
INSERT INTO raw.equipment VALUES ('PUMP-002', 'DEMO', 'Slurry pump 2', 'Concentrator', 'pump', 'throughput', 640, NULL, '2026-11-20 22:02:03.278155+00');
INSERT INTO raw.equipment VALUES ('PUMP-003', 'DEMO', 'Process water pump', 'Concentrator', 'pump', 'throughput', 820, NULL, '2026-11-20 22:02:03.278167+00');
INSERT INTO raw.equipment VALUES ('MILL-001', 'DEMO', 'Ball mill', 'Concentrator', 'mill', 'throughput', 520, NULL, '2026-11-20 22:02:03.278179+00');
INSERT INTO raw.equipment VALUES ('REACTOR_01', 'DEMO', 'Leaching reactor', 'Hydrometallurgy', 'reactor', 'throughput', 180, NULL, '2026-11-20 22:02:03.278192+00');
INSERT INTO raw.limits VALUES ('HAUL-001', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('HAUL-001', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('HAUL-001', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('HAUL-001', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('HAUL-001', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('HAUL-001', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('HAUL-002', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('HAUL-002', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('HAUL-002', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('HAUL-002', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('HAUL-002', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('HAUL-002', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('CRUSH-001', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('CRUSH-001', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('CRUSH-001', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('CRUSH-001', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('CRUSH-001', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('CRUSH-001', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('CRUSH-002', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('CRUSH-002', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('CRUSH-002', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('CRUSH-002', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('CRUSH-002', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('CRUSH-002', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('SCREEN-001', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('SCREEN-001', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('SCREEN-001', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('SCREEN-001', 'vibration', '', 'warning', 'high', 6);
INSERT INTO raw.limits VALUES ('SCREEN-001', 'vibration', '', 'critical', 'high', 7);
INSERT INTO raw.limits VALUES ('SCREEN-001', 'vibration', '', 'emergency', 'high', 8.5);
INSERT INTO raw.limits VALUES ('CONV-001', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('CONV-001', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('CONV-001', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('CONV-001', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('CONV-001', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('CONV-001', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('CONV-002', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('CONV-002', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('CONV-002', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('CONV-002', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('CONV-002', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('CONV-002', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('PUMP-001', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('PUMP-001', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('PUMP-001', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('PUMP-001', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('PUMP-001', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('PUMP-001', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('PUMP-001', 'pressure', '', 'warning', 'high', 9);
INSERT INTO raw.limits VALUES ('PUMP-001', 'pressure', '', 'critical', 'high', 10);
INSERT INTO raw.limits VALUES ('PUMP-001', 'pressure', '', 'emergency', 'high', 11);
INSERT INTO raw.limits VALUES ('PUMP-002', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('PUMP-002', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('PUMP-002', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('PUMP-002', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('PUMP-002', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('PUMP-002', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('PUMP-002', 'pressure', '', 'warning', 'high', 9);
INSERT INTO raw.limits VALUES ('PUMP-002', 'pressure', '', 'critical', 'high', 10);
INSERT INTO raw.limits VALUES ('PUMP-002', 'pressure', '', 'emergency', 'high', 11);
INSERT INTO raw.limits VALUES ('PUMP-003', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('PUMP-003', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('PUMP-003', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('PUMP-003', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('PUMP-003', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('PUMP-003', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('MILL-001', 'temperature', '', 'warning', 'high', 80);
INSERT INTO raw.limits VALUES ('MILL-001', 'temperature', '', 'critical', 'high', 85);
INSERT INTO raw.limits VALUES ('MILL-001', 'temperature', '', 'emergency', 'high', 90);
INSERT INTO raw.limits VALUES ('MILL-001', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('MILL-001', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('MILL-001', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'temperature', '', 'warning', 'high', 180);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'temperature', '', 'critical', 'high', 190);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'temperature', '', 'emergency', 'high', 200);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'vibration', '', 'warning', 'high', 3.5);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'vibration', '', 'critical', 'high', 4);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'vibration', '', 'emergency', 'high', 5);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'pressure', '', 'warning', 'high', 13);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'pressure', '', 'critical', 'high', 14);
INSERT INTO raw.limits VALUES ('REACTOR_01', 'pressure', '', 'emergency', 'high', 15);
INSERT INTO raw.plants VALUES ('DEMO', 'Copper mine and concentrator', 'Europe/Oslo', '2026-11-20 22:02:03.27159+00');
INSERT INTO raw.rejected_events OVERRIDING SYSTEM VALUE VALUES (1, 1, 'demo', 'nsu=urn:millwright:demo;s=HAUL-001.Temperature', '1601-01-01 00:00:00+00', '1.0', 0, 'source timestamp older than 400 days', 'live', '2026-11-20 22:02:03.350197+00');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:00:00+00', '2026-11-01 10:00:00+00', 51, NULL, 0, 1200, 'live', '2026-11-01 10:00:00+00', '2026-11-20 22:02:03.338857+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:01:00+00', '2026-11-01 10:01:00+00', 51, NULL, 0, 1260, 'live', '2026-11-01 10:01:00+00', '2026-11-20 22:02:03.339041+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:02:00+00', '2026-11-01 10:02:00+00', 51, NULL, 0, 1320, 'live', '2026-11-01 10:02:00+00', '2026-11-20 22:02:03.339044+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:03:00+00', '2026-11-01 10:03:00+00', 51, NULL, 0, 1380, 'live', '2026-11-01 10:03:00+00', '2026-11-20 22:02:03.339046+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:04:00+00', '2026-11-01 10:04:00+00', 51, NULL, 0, 1440, 'live', '2026-11-01 10:04:00+00', '2026-11-20 22:02:03.339047+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:05:00+00', '2026-11-01 10:05:00+00', 51, NULL, 0, 1500, 'live', '2026-11-01 10:05:00+00', '2026-11-20 22:02:03.339048+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:06:00+00', '2026-11-01 10:06:00+00', 51, NULL, 0, 1560, 'live', '2026-11-01 10:06:00+00', '2026-11-20 22:02:03.33905+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:07:00+00', '2026-11-01 10:07:00+00', 51, NULL, 0, 1620, 'live', '2026-11-01 10:07:00+00', '2026-11-20 22:02:03.339051+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:08:00+00', '2026-11-01 10:08:00+00', 51, NULL, 0, 1680, 'live', '2026-11-01 10:08:00+00', '2026-11-20 22:02:03.339054+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (1, '2026-11-01 10:09:00+00', '2026-11-01 10:09:00+00', 51, NULL, 0, 1740, 'live', '2026-11-01 10:09:00+00', '2026-11-20 22:02:03.339056+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:00:00+00', '2026-11-01 10:00:00+00', 52, NULL, 0, 2200, 'live', '2026-11-01 10:00:00+00', '2026-11-20 22:02:03.339058+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:01:00+00', '2026-11-01 10:01:00+00', 52, NULL, 0, 2260, 'live', '2026-11-01 10:01:00+00', '2026-11-20 22:02:03.339059+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:02:00+00', '2026-11-01 10:02:00+00', 52, NULL, 0, 2320, 'live', '2026-11-01 10:02:00+00', '2026-11-20 22:02:03.33906+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:03:00+00', '2026-11-01 10:03:00+00', 52, NULL, 0, 2380, 'live', '2026-11-01 10:03:00+00', '2026-11-20 22:02:03.339061+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:04:00+00', '2026-11-01 10:04:00+00', 52, NULL, 0, 2440, 'live', '2026-11-01 10:04:00+00', '2026-11-20 22:02:03.339063+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:05:00+00', '2026-11-01 10:05:00+00', 52, NULL, 0, 2500, 'live', '2026-11-01 10:05:00+00', '2026-11-20 22:02:03.339064+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:06:00+00', '2026-11-01 10:06:00+00', 52, NULL, 0, 2560, 'live', '2026-11-01 10:06:00+00', '2026-11-20 22:02:03.339065+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:07:00+00', '2026-11-01 10:07:00+00', 52, NULL, 0, 2620, 'live', '2026-11-01 10:07:00+00', '2026-11-20 22:02:03.339066+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:08:00+00', '2026-11-01 10:08:00+00', 52, NULL, 0, 2680, 'live', '2026-11-01 10:08:00+00', '2026-11-20 22:02:03.339067+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (2, '2026-11-01 10:09:00+00', '2026-11-01 10:09:00+00', 52, NULL, 0, 2740, 'live', '2026-11-01 10:09:00+00', '2026-11-20 22:02:03.339069+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:00:00+00', '2026-11-01 10:00:00+00', 53, NULL, 0, 3200, 'live', '2026-11-01 10:00:00+00', '2026-11-20 22:02:03.33907+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:01:00+00', '2026-11-01 10:01:00+00', 53, NULL, 0, 3260, 'live', '2026-11-01 10:01:00+00', '2026-11-20 22:02:03.339071+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:02:00+00', '2026-11-01 10:02:00+00', 53, NULL, 0, 3320, 'live', '2026-11-01 10:02:00+00', '2026-11-20 22:02:03.339074+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:03:00+00', '2026-11-01 10:03:00+00', 53, NULL, 0, 3380, 'live', '2026-11-01 10:03:00+00', '2026-11-20 22:02:03.339075+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:04:00+00', '2026-11-01 10:04:00+00', 53, NULL, 0, 3440, 'live', '2026-11-01 10:04:00+00', '2026-11-20 22:02:03.339076+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:05:00+00', '2026-11-01 10:05:00+00', 53, NULL, 0, 3500, 'live', '2026-11-01 10:05:00+00', '2026-11-20 22:02:03.339077+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:06:00+00', '2026-11-01 10:06:00+00', 53, NULL, 0, 3560, 'live', '2026-11-01 10:06:00+00', '2026-11-20 22:02:03.339079+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:07:00+00', '2026-11-01 10:07:00+00', 53, NULL, 0, 3620, 'live', '2026-11-01 10:07:00+00', '2026-11-20 22:02:03.33908+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:08:00+00', '2026-11-01 10:08:00+00', 53, NULL, 0, 3680, 'live', '2026-11-01 10:08:00+00', '2026-11-20 22:02:03.339081+00', '975');
INSERT INTO raw.sensor_events_20261101 VALUES (3, '2026-11-01 10:09:00+00', '2026-11-01 10:09:00+00', 53, NULL, 0, 3740, 'live', '2026-11-01 10:09:00+00', '2026-11-20 22:02:03.339082+00', '975');
INSERT INTO raw.sensor_gaps OVERRIDING SYSTEM VALUE VALUES (1, 1, '2026-11-01 09:00:00+00', '2026-11-01 10:00:00+00', 'outage', false, NULL, '2026-11-20 22:02:03.346201+00');
INSERT INTO raw.sensor_gaps OVERRIDING SYSTEM VALUE VALUES (2, 2, '2026-11-01 10:09:00+00', NULL, 'outage', false, NULL, '2026-11-20 22:02:03.346341+00');
INSERT INTO raw.tag_latest VALUES (3, '2026-11-01 10:09:00+00', NULL, 53, NULL, 0, '2026-11-20 22:02:03.344671+00');
INSERT INTO raw.tag_latest VALUES (2, '2026-11-01 10:09:00+00', NULL, 52, NULL, 0, '2026-11-20 22:02:03.344789+00');
INSERT INTO raw.tag_latest VALUES (1, '2026-11-01 10:09:00+00', NULL, 51, NULL, 0, '2026-11-20 22:02:03.344791+00');
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (1, 'demo', 'nsu=urn:millwright:demo;s=HAUL-001.Temperature', 'HAUL-001', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (2, 'demo', 'nsu=urn:millwright:demo;s=HAUL-001.Vibration', 'HAUL-001', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (3, 'demo', 'nsu=urn:millwright:demo;s=HAUL-001.Power', 'HAUL-001', 'power', '', 'measurement', 'kW', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (4, 'demo', 'nsu=urn:millwright:demo;s=HAUL-001.State', 'HAUL-001', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (5, 'demo', 'nsu=urn:millwright:demo;s=HAUL-002.Temperature', 'HAUL-002', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (6, 'demo', 'nsu=urn:millwright:demo;s=HAUL-002.Vibration', 'HAUL-002', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (7, 'demo', 'nsu=urn:millwright:demo;s=HAUL-002.Power', 'HAUL-002', 'power', '', 'measurement', 'kW', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (8, 'demo', 'nsu=urn:millwright:demo;s=HAUL-002.State', 'HAUL-002', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (9, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-001.Temperature', 'CRUSH-001', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (10, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-001.Vibration', 'CRUSH-001', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (11, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-001.Power', 'CRUSH-001', 'power', '', 'measurement', 'kW', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (12, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-001.Throughput', 'CRUSH-001', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (13, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-001.Throughput_SP', 'CRUSH-001', 'throughput_sp', '', 'set_point', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (14, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-001.State', 'CRUSH-001', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (15, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-002.Temperature', 'CRUSH-002', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (16, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-002.Vibration', 'CRUSH-002', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (17, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-002.Throughput', 'CRUSH-002', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (18, 'demo', 'nsu=urn:millwright:demo;s=CRUSH-002.State', 'CRUSH-002', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (19, 'demo', 'nsu=urn:millwright:demo;s=SCREEN-001.Temperature', 'SCREEN-001', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (20, 'demo', 'nsu=urn:millwright:demo;s=SCREEN-001.Vibration', 'SCREEN-001', 'vibration', '', 'measurement', 'g', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (21, 'demo', 'nsu=urn:millwright:demo;s=SCREEN-001.Throughput', 'SCREEN-001', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (22, 'demo', 'nsu=urn:millwright:demo;s=SCREEN-001.State', 'SCREEN-001', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (23, 'demo', 'nsu=urn:millwright:demo;s=CONV-001.Temperature', 'CONV-001', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (24, 'demo', 'nsu=urn:millwright:demo;s=CONV-001.Vibration', 'CONV-001', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (25, 'demo', 'nsu=urn:millwright:demo;s=CONV-001.Speed', 'CONV-001', 'speed', '', 'measurement', 'm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (26, 'demo', 'nsu=urn:millwright:demo;s=CONV-001.Throughput', 'CONV-001', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (27, 'demo', 'nsu=urn:millwright:demo;s=CONV-001.State', 'CONV-001', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (28, 'demo', 'nsu=urn:millwright:demo;s=CONV-002.Temperature', 'CONV-002', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (29, 'demo', 'nsu=urn:millwright:demo;s=CONV-002.Vibration', 'CONV-002', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (30, 'demo', 'nsu=urn:millwright:demo;s=CONV-002.Speed', 'CONV-002', 'speed', '', 'measurement', 'm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (31, 'demo', 'nsu=urn:millwright:demo;s=CONV-002.Throughput', 'CONV-002', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (32, 'demo', 'nsu=urn:millwright:demo;s=CONV-002.State', 'CONV-002', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (33, 'demo', 'nsu=urn:millwright:demo;s=PUMP-001.Temperature', 'PUMP-001', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (34, 'demo', 'nsu=urn:millwright:demo;s=PUMP-001.Vibration', 'PUMP-001', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (35, 'demo', 'nsu=urn:millwright:demo;s=PUMP-001.Pressure', 'PUMP-001', 'pressure', '', 'measurement', 'bar', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (36, 'demo', 'nsu=urn:millwright:demo;s=PUMP-001.Throughput', 'PUMP-001', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (37, 'demo', 'nsu=urn:millwright:demo;s=PUMP-001.Throughput_SP', 'PUMP-001', 'throughput_sp', '', 'set_point', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (38, 'demo', 'nsu=urn:millwright:demo;s=PUMP-001.State', 'PUMP-001', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (39, 'demo', 'nsu=urn:millwright:demo;s=PUMP-002.Temperature', 'PUMP-002', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (40, 'demo', 'nsu=urn:millwright:demo;s=PUMP-002.Vibration', 'PUMP-002', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (41, 'demo', 'nsu=urn:millwright:demo;s=PUMP-002.Pressure', 'PUMP-002', 'pressure', '', 'measurement', 'bar', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (42, 'demo', 'nsu=urn:millwright:demo;s=PUMP-002.Throughput', 'PUMP-002', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (43, 'demo', 'nsu=urn:millwright:demo;s=PUMP-002.State', 'PUMP-002', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (44, 'demo', 'nsu=urn:millwright:demo;s=PUMP-003.Temperature', 'PUMP-003', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (45, 'demo', 'nsu=urn:millwright:demo;s=PUMP-003.Vibration', 'PUMP-003', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (46, 'demo', 'nsu=urn:millwright:demo;s=PUMP-003.Throughput', 'PUMP-003', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (47, 'demo', 'nsu=urn:millwright:demo;s=PUMP-003.State', 'PUMP-003', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (48, 'demo', 'nsu=urn:millwright:demo;s=MILL-001.Temperature', 'MILL-001', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (49, 'demo', 'nsu=urn:millwright:demo;s=MILL-001.Vibration', 'MILL-001', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (50, 'demo', 'nsu=urn:millwright:demo;s=MILL-001.Power', 'MILL-001', 'power', '', 'measurement', 'kW', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (51, 'demo', 'nsu=urn:millwright:demo;s=MILL-001.Throughput', 'MILL-001', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (52, 'demo', 'nsu=urn:millwright:demo;s=MILL-001.Throughput_SP', 'MILL-001', 'throughput_sp', '', 'set_point', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (53, 'demo', 'nsu=urn:millwright:demo;s=MILL-001.State', 'MILL-001', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (54, 'demo', 'nsu=urn:millwright:demo;s=REACTOR_01.Temperature', 'REACTOR_01', 'temperature', '', 'measurement', '°C', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (55, 'demo', 'nsu=urn:millwright:demo;s=REACTOR_01.Vibration', 'REACTOR_01', 'vibration', '', 'measurement', 'mm/s', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (56, 'demo', 'nsu=urn:millwright:demo;s=REACTOR_01.Pressure', 'REACTOR_01', 'pressure', '', 'measurement', 'bar', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (57, 'demo', 'nsu=urn:millwright:demo;s=REACTOR_01.Throughput', 'REACTOR_01', 'throughput', '', 'measurement', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (58, 'demo', 'nsu=urn:millwright:demo;s=REACTOR_01.Throughput_SP', 'REACTOR_01', 'throughput_sp', '', 'set_point', 't/h', 'double', '{}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO raw.tags OVERRIDING SYSTEM VALUE VALUES (59, 'demo', 'nsu=urn:millwright:demo;s=REACTOR_01.State', 'REACTOR_01', 'run_state', '', 'state', '', 'string', '{"IDLE": "idle", "RUNNING": "running", "STOPPED": "stopped", "MAINTENANCE": "maintenance"}', '2026-11-01 00:00:00+00', NULL);
INSERT INTO serving.critical_alerts OVERRIDING SYSTEM VALUE VALUES (1, 'HAUL-001', 1, 'temperature', '', '2026-11-01 10:05:00+00', 'critical', 'high', 86, 85, '', 'preventive_inspection', 'temperature 86 above its critical limit 85', 'active', 1, NULL, NULL, NULL, NULL, NULL, '2026-11-20 22:02:03.353275+00');
INSERT INTO serving.operator_answers VALUES ('f1', 'r1', 'HAUL-001', '2026-11-01 10:09:00+00', 'schedule_maintenance', 0.93, 'executed', 'op', '2026-11-01 10:10:00+00', NULL, NULL, NULL, NULL, NULL, '2026-11-20 22:02:03.363779+00');
INSERT INTO serving.policy VALUES (true, '00:30:00');
INSERT INTO serving.recommendations_serving VALUES ('r1', 'HAUL-001', '2026-11-01 10:09:00+00', 0.93, 'critical', 'schedule_maintenance', 'vibration rising', 0.8, NULL, NULL, NULL, NULL, 'executed', '1', NULL, '2026-11-20 22:02:03.359433+00');
SELECT pg_catalog.setval('ml.drift_drift_id_seq', 1, false);
SELECT pg_catalog.setval('ml.evaluations_evaluation_id_seq', 1, false);
SELECT pg_catalog.setval('ml.labels_label_id_seq', 1, false);
SELECT pg_catalog.setval('ml.promotions_promotion_id_seq', 1, false);
SELECT pg_catalog.setval('ml.scores_score_id_seq', 1, false);
SELECT pg_catalog.setval('ops.data_quality_results_result_id_seq', 1, false);
SELECT pg_catalog.setval('raw.rejected_events_rejected_id_seq', 1, true);
SELECT pg_catalog.setval('raw.sensor_gaps_gap_id_seq', 2, true);
SELECT pg_catalog.setval('raw.tags_tag_id_seq', 59, true);
SELECT pg_catalog.setval('serving.critical_alerts_alert_id_seq', 1, true);
ALTER TABLE ONLY ml.drift
    ADD CONSTRAINT drift_pkey PRIMARY KEY (drift_id);
ALTER TABLE ONLY ml.evaluations
    ADD CONSTRAINT evaluations_pkey PRIMARY KEY (evaluation_id);
ALTER TABLE ONLY ml.labels
    ADD CONSTRAINT labels_pkey PRIMARY KEY (label_id);
ALTER TABLE ONLY ml.labels
    ADD CONSTRAINT labels_source_source_id_key UNIQUE (source, source_id);
ALTER TABLE ONLY ml.promotions
    ADD CONSTRAINT promotions_pkey PRIMARY KEY (promotion_id);
ALTER TABLE ONLY ml.recommendations
    ADD CONSTRAINT recommendations_pkey PRIMARY KEY (recommendation_id);
ALTER TABLE ONLY ml.scored_features
    ADD CONSTRAINT scored_features_pkey PRIMARY KEY (score_id);
ALTER TABLE ONLY ml.scores
    ADD CONSTRAINT scores_pkey PRIMARY KEY (score_id);
ALTER TABLE ONLY ml.training_runs
    ADD CONSTRAINT training_runs_pkey PRIMARY KEY (training_id);
ALTER TABLE ONLY ops.data_quality_results
    ADD CONSTRAINT data_quality_results_pkey PRIMARY KEY (result_id);
ALTER TABLE ONLY ops.transform_runs
    ADD CONSTRAINT transform_runs_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY ops.watermarks
    ADD CONSTRAINT watermarks_pkey PRIMARY KEY (pipeline);
ALTER TABLE ONLY public._yoyo_log
    ADD CONSTRAINT _yoyo_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public._yoyo_migration
    ADD CONSTRAINT _yoyo_migration_pkey PRIMARY KEY (migration_hash);
ALTER TABLE ONLY public._yoyo_version
    ADD CONSTRAINT _yoyo_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.yoyo_lock
    ADD CONSTRAINT yoyo_lock_pkey PRIMARY KEY (locked);
ALTER TABLE ONLY raw.cmms_failures
    ADD CONSTRAINT cmms_failures_pkey PRIMARY KEY (failure_id);
ALTER TABLE ONLY raw.cmms_work_orders
    ADD CONSTRAINT cmms_work_orders_pkey PRIMARY KEY (work_order_id);
ALTER TABLE ONLY raw.equipment
    ADD CONSTRAINT equipment_pkey PRIMARY KEY (equipment_id);
ALTER TABLE ONLY raw.limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (equipment_id, measurement, "position", severity, direction);
ALTER TABLE ONLY raw.mes_quality_inspections
    ADD CONSTRAINT mes_quality_inspections_pkey PRIMARY KEY (inspection_id);
ALTER TABLE ONLY raw.mes_schedules
    ADD CONSTRAINT mes_schedules_pkey PRIMARY KEY (schedule_id);
ALTER TABLE ONLY raw.mes_shifts
    ADD CONSTRAINT mes_shifts_pkey PRIMARY KEY (shift_id);
ALTER TABLE ONLY raw.operator_feedback
    ADD CONSTRAINT operator_feedback_pkey PRIMARY KEY (feedback_id);
ALTER TABLE ONLY raw.plants
    ADD CONSTRAINT plants_pkey PRIMARY KEY (plant_id);
ALTER TABLE ONLY raw.rejected_events
    ADD CONSTRAINT rejected_events_pkey PRIMARY KEY (rejected_id);
ALTER TABLE ONLY raw.sap_equipment
    ADD CONSTRAINT sap_equipment_pkey PRIMARY KEY (equipment_id);
ALTER TABLE ONLY raw.sap_spare_parts
    ADD CONSTRAINT sap_spare_parts_pkey PRIMARY KEY (part_id);
ALTER TABLE ONLY raw.sensor_events
    ADD CONSTRAINT sensor_events_pkey PRIMARY KEY (tag_id, source_ts, digest);
ALTER TABLE ONLY raw.sensor_events_20261101
    ADD CONSTRAINT sensor_events_20261101_pkey PRIMARY KEY (tag_id, source_ts, digest);
ALTER TABLE ONLY raw.sensor_events_20261102
    ADD CONSTRAINT sensor_events_20261102_pkey PRIMARY KEY (tag_id, source_ts, digest);
ALTER TABLE ONLY raw.sensor_gaps
    ADD CONSTRAINT sensor_gaps_pkey PRIMARY KEY (gap_id);
ALTER TABLE ONLY raw.tag_latest
    ADD CONSTRAINT tag_latest_pkey PRIMARY KEY (tag_id);
ALTER TABLE ONLY raw.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (tag_id);
ALTER TABLE ONLY serving.critical_alerts
    ADD CONSTRAINT critical_alerts_pkey PRIMARY KEY (alert_id);
ALTER TABLE ONLY serving.operator_answers
    ADD CONSTRAINT operator_answers_pkey PRIMARY KEY (feedback_id);
ALTER TABLE ONLY serving.policy
    ADD CONSTRAINT policy_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY serving.recommendations_serving
    ADD CONSTRAINT recommendations_serving_equipment_id_timestamp_key UNIQUE (equipment_id, "timestamp");
ALTER TABLE ONLY serving.recommendations_serving
    ADD CONSTRAINT recommendations_serving_pkey PRIMARY KEY (recommendation_id);
CREATE INDEX labels_equipment ON ml.labels USING btree (equipment_id, from_ts);
CREATE INDEX recommendations_equipment ON ml.recommendations USING btree (equipment_id, "timestamp");
CREATE INDEX scored_features_window ON ml.scored_features USING btree (equipment_id, window_end);
CREATE UNIQUE INDEX scores_current ON ml.scores USING btree (equipment_id, window_end, model_version, role) WHERE (superseded_at IS NULL);
CREATE INDEX scores_equipment ON ml.scores USING btree (equipment_id, window_end DESC) WHERE ((role = 'champion'::text) AND (superseded_at IS NULL));
CREATE INDEX scores_window ON ml.scores USING btree (window_end);
CREATE INDEX pipeline_metrics_recent ON ops.pipeline_metrics USING btree (stage, metric, measured_at);
CREATE INDEX cmms_failures_equipment ON raw.cmms_failures USING btree (equipment_id, failed_at);
CREATE INDEX cmms_work_orders_equipment ON raw.cmms_work_orders USING btree (equipment_id, opened_at);
CREATE INDEX mes_schedules_equipment ON raw.mes_schedules USING btree (equipment_id, starts_at);
CREATE INDEX sensor_events_landed ON ONLY raw.sensor_events USING btree (landed_xid);
CREATE INDEX sensor_events_20261101_landed_xid_idx ON raw.sensor_events_20261101 USING btree (landed_xid);
CREATE INDEX sensor_events_20261102_landed_xid_idx ON raw.sensor_events_20261102 USING btree (landed_xid);
CREATE INDEX sensor_gaps_tag ON raw.sensor_gaps USING btree (tag_id, from_ts);
CREATE UNIQUE INDEX tags_current_meaning ON raw.tags USING btree (equipment_id, measurement, "position") WHERE (valid_to IS NULL);
CREATE UNIQUE INDEX tags_current_node ON raw.tags USING btree (server, node_id) WHERE (valid_to IS NULL);
CREATE UNIQUE INDEX critical_alerts_one_open ON serving.critical_alerts USING btree (tag_id, severity, direction) WHERE (state <> 'cleared'::text);
CREATE INDEX critical_alerts_open ON serving.critical_alerts USING btree (equipment_id) WHERE (state <> 'cleared'::text);
CREATE INDEX operator_answers_created ON serving.operator_answers USING btree (created_at);
CREATE INDEX recommendations_deferred ON serving.recommendations_serving USING btree (deferred_until) WHERE (status = 'deferred'::text);
CREATE INDEX recommendations_pending ON serving.recommendations_serving USING btree (equipment_id, anomaly_score DESC) WHERE (status = 'pending'::text);
ALTER INDEX raw.sensor_events_landed ATTACH PARTITION raw.sensor_events_20261101_landed_xid_idx;
ALTER INDEX raw.sensor_events_pkey ATTACH PARTITION raw.sensor_events_20261101_pkey;
ALTER INDEX raw.sensor_events_landed ATTACH PARTITION raw.sensor_events_20261102_landed_xid_idx;
ALTER INDEX raw.sensor_events_pkey ATTACH PARTITION raw.sensor_events_20261102_pkey;
CREATE OR REPLACE VIEW serving.equipment_state AS
 WITH latest AS (
         SELECT t.equipment_id,
            t.measurement,
            t.role,
            l_1.value,
            l_1.source_ts,
            COALESCE((t.states ->> COALESCE(l_1.value_text, (l_1.value)::text)), lower(COALESCE(l_1.value_text, (l_1.value)::text))) AS state,
            (((l_1.status >> 30) = 0) AND COALESCE(((l_1.value > '-Infinity'::double precision) AND (l_1.value < 'Infinity'::double precision)), true)) AS is_good
           FROM (raw.tags t
             JOIN raw.tag_latest l_1 ON ((t.tag_id = l_1.tag_id)))
          WHERE (t.valid_to IS NULL)
        )
 SELECT e.equipment_id,
    e.name AS equipment_name,
    e.area,
    e.equipment_type,
    max(l.state) FILTER (WHERE (l.role = 'state'::raw.tag_role)) AS run_state,
    avg(l.value) FILTER (WHERE ((l.measurement = 'temperature'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS temperature,
    max(l.value) FILTER (WHERE ((l.measurement = 'vibration'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS vibration,
    avg(l.value) FILTER (WHERE ((l.measurement = 'pressure'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS pressure,
    avg(l.value) FILTER (WHERE ((l.measurement = 'throughput'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS throughput,
    avg(l.value) FILTER (WHERE ((l.measurement = 'power'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS power,
    avg(l.value) FILTER (WHERE ((l.measurement = 'speed'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS speed,
    avg(l.value) FILTER (WHERE ((l.measurement = 'current'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS current,
    avg(l.value) FILTER (WHERE ((l.measurement = 'voltage'::text) AND (l.role = 'measurement'::raw.tag_role) AND l.is_good)) AS voltage,
    count(*) FILTER (WHERE (NOT l.is_good)) AS bad_tags,
    max(l.source_ts) AS last_value_at,
    (EXTRACT(epoch FROM (clock_timestamp() - max(l.source_ts))))::double precision AS data_age_s
   FROM (raw.equipment e
     LEFT JOIN latest l ON ((e.equipment_id = l.equipment_id)))
  WHERE (e.retired_at IS NULL)
  GROUP BY e.equipment_id;
CREATE TRIGGER announce_alert_transition AFTER UPDATE OF state ON serving.critical_alerts FOR EACH ROW WHEN ((old.state IS DISTINCT FROM new.state)) EXECUTE FUNCTION serving.announce_alert();
CREATE TRIGGER announce_new_alert AFTER INSERT ON serving.critical_alerts FOR EACH ROW EXECUTE FUNCTION serving.announce_alert();
CREATE TRIGGER announce_recommendation AFTER INSERT ON serving.recommendations_serving FOR EACH ROW WHEN ((new.status = 'pending'::text)) EXECUTE FUNCTION serving.announce_recommendation();
CREATE TRIGGER announce_returned_recommendation AFTER UPDATE OF status ON serving.recommendations_serving FOR EACH ROW WHEN (((old.status = 'deferred'::text) AND (new.status = 'pending'::text))) EXECUTE FUNCTION serving.announce_recommendation();
CREATE TRIGGER answer_recommendation INSTEAD OF INSERT ON serving.operator_feedback FOR EACH ROW EXECUTE FUNCTION serving.answer_recommendation();
ALTER TABLE ONLY ml.evaluations
    ADD CONSTRAINT evaluations_training_id_fkey FOREIGN KEY (training_id) REFERENCES ml.training_runs(training_id);
ALTER TABLE ONLY ml.recommendations
    ADD CONSTRAINT recommendations_score_id_fkey FOREIGN KEY (score_id) REFERENCES ml.scores(score_id) ON DELETE SET NULL;
ALTER TABLE ONLY ml.scored_features
    ADD CONSTRAINT scored_features_score_id_fkey FOREIGN KEY (score_id) REFERENCES ml.scores(score_id) ON DELETE CASCADE;
ALTER TABLE ONLY raw.equipment
    ADD CONSTRAINT equipment_plant_id_fkey FOREIGN KEY (plant_id) REFERENCES raw.plants(plant_id);
ALTER TABLE ONLY raw.limits
    ADD CONSTRAINT limits_equipment_id_fkey FOREIGN KEY (equipment_id) REFERENCES raw.equipment(equipment_id);
ALTER TABLE ONLY raw.sensor_gaps
    ADD CONSTRAINT sensor_gaps_tag_id_fkey FOREIGN KEY (tag_id) REFERENCES raw.tags(tag_id);
ALTER TABLE ONLY raw.tag_latest
    ADD CONSTRAINT tag_latest_tag_id_fkey FOREIGN KEY (tag_id) REFERENCES raw.tags(tag_id);
ALTER TABLE ONLY raw.tags
    ADD CONSTRAINT tags_equipment_id_fkey FOREIGN KEY (equipment_id) REFERENCES raw.equipment(equipment_id);
ALTER TABLE ONLY serving.operator_answers
    ADD CONSTRAINT operator_answers_recommendation_id_fkey FOREIGN KEY (recommendation_id) REFERENCES serving.recommendations_serving(recommendation_id) ON DELETE SET NULL;
GRANT USAGE ON SCHEMA intermediate TO millwright_score;
GRANT USAGE ON SCHEMA marts TO millwright_score;
GRANT USAGE ON SCHEMA marts TO millwright_bi;
GRANT USAGE ON SCHEMA ml TO millwright_score;
GRANT USAGE ON SCHEMA ml TO millwright_transform;
GRANT USAGE ON SCHEMA ml TO millwright_bi;
GRANT USAGE ON SCHEMA ops TO millwright_ingest;
GRANT USAGE ON SCHEMA ops TO millwright_transform;
GRANT USAGE ON SCHEMA ops TO millwright_score;
GRANT USAGE ON SCHEMA ops TO millwright_bi;
GRANT USAGE ON SCHEMA raw TO millwright_ingest;
GRANT USAGE ON SCHEMA raw TO millwright_transform;
GRANT USAGE ON SCHEMA raw TO millwright_score;
GRANT USAGE ON SCHEMA serving TO millwright_ingest;
GRANT USAGE ON SCHEMA serving TO millwright_transform;
GRANT USAGE ON SCHEMA serving TO millwright_score;
GRANT USAGE ON SCHEMA serving TO millwright_operator;
GRANT USAGE ON SCHEMA serving TO millwright_bi;
REVOKE ALL ON FUNCTION raw.ensure_partitions(from_ts timestamp with time zone, to_ts timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION raw.ensure_partitions(from_ts timestamp with time zone, to_ts timestamp with time zone) TO millwright_ingest;
GRANT SELECT,INSERT,UPDATE ON TABLE serving.critical_alerts TO millwright_ingest;
GRANT SELECT ON TABLE serving.critical_alerts TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE serving.critical_alerts TO millwright_score;
GRANT SELECT ON TABLE serving.critical_alerts TO millwright_operator;
GRANT SELECT ON TABLE serving.critical_alerts TO millwright_bi;
REVOKE ALL ON FUNCTION serving.acknowledge_alert(p_alert_id bigint, p_operator_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION serving.acknowledge_alert(p_alert_id bigint, p_operator_id text) TO millwright_operator;
REVOKE ALL ON FUNCTION serving.acknowledge_alert(p_alert_id text, p_operator_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION serving.acknowledge_alert(p_alert_id text, p_operator_id text) TO millwright_operator;
REVOKE ALL ON FUNCTION serving.answer_recommendation() FROM PUBLIC;
REVOKE ALL ON FUNCTION serving.shelve_alert(p_alert_id bigint, p_operator_id text, p_until timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION serving.shelve_alert(p_alert_id bigint, p_operator_id text, p_until timestamp with time zone) TO millwright_operator;
REVOKE ALL ON FUNCTION serving.shelve_alert(p_alert_id text, p_operator_id text, p_until text) FROM PUBLIC;
GRANT ALL ON FUNCTION serving.shelve_alert(p_alert_id text, p_operator_id text, p_until text) TO millwright_operator;
GRANT SELECT ON TABLE ml.drift TO millwright_transform;
GRANT SELECT,INSERT ON TABLE ml.drift TO millwright_score;
GRANT SELECT ON TABLE ml.drift TO millwright_bi;
GRANT SELECT ON TABLE ml.evaluations TO millwright_transform;
GRANT SELECT,INSERT ON TABLE ml.evaluations TO millwright_score;
GRANT SELECT ON TABLE ml.evaluations TO millwright_bi;
GRANT SELECT ON TABLE ml.labels TO millwright_transform;
GRANT SELECT,INSERT ON TABLE ml.labels TO millwright_score;
GRANT SELECT ON TABLE ml.labels TO millwright_bi;
GRANT SELECT ON TABLE ml.promotions TO millwright_transform;
GRANT SELECT,INSERT ON TABLE ml.promotions TO millwright_score;
GRANT SELECT ON TABLE ml.promotions TO millwright_bi;
GRANT SELECT ON TABLE ml.recommendations TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE ml.recommendations TO millwright_score;
GRANT SELECT ON TABLE ml.recommendations TO millwright_bi;
GRANT SELECT ON TABLE ml.scored_features TO millwright_transform;
GRANT SELECT,INSERT ON TABLE ml.scored_features TO millwright_score;
GRANT SELECT ON TABLE ml.scored_features TO millwright_bi;
GRANT SELECT ON TABLE ml.scores TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE ml.scores TO millwright_score;
GRANT SELECT ON TABLE ml.scores TO millwright_bi;
GRANT SELECT ON TABLE ml.training_runs TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE ml.training_runs TO millwright_score;
GRANT SELECT ON TABLE ml.training_runs TO millwright_bi;
GRANT SELECT ON TABLE ops.data_quality_results TO millwright_ingest;
GRANT SELECT,INSERT ON TABLE ops.data_quality_results TO millwright_transform;
GRANT SELECT,INSERT ON TABLE ops.data_quality_results TO millwright_score;
GRANT SELECT ON TABLE ops.data_quality_results TO millwright_bi;
GRANT SELECT,INSERT ON TABLE ops.pipeline_metrics TO millwright_ingest;
GRANT SELECT,INSERT ON TABLE ops.pipeline_metrics TO millwright_transform;
GRANT SELECT,INSERT ON TABLE ops.pipeline_metrics TO millwright_score;
GRANT SELECT ON TABLE ops.pipeline_metrics TO millwright_bi;
GRANT SELECT ON TABLE ops.transform_runs TO millwright_ingest;
GRANT SELECT,INSERT,UPDATE ON TABLE ops.transform_runs TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE ops.transform_runs TO millwright_score;
GRANT SELECT ON TABLE ops.transform_runs TO millwright_bi;
GRANT SELECT ON TABLE ops.watermarks TO millwright_ingest;
GRANT SELECT,INSERT,UPDATE ON TABLE ops.watermarks TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE ops.watermarks TO millwright_score;
GRANT SELECT ON TABLE ops.watermarks TO millwright_bi;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.cmms_failures TO millwright_ingest;
GRANT SELECT ON TABLE raw.cmms_failures TO millwright_transform;
GRANT SELECT ON TABLE raw.cmms_failures TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.cmms_work_orders TO millwright_ingest;
GRANT SELECT ON TABLE raw.cmms_work_orders TO millwright_transform;
GRANT SELECT ON TABLE raw.cmms_work_orders TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.equipment TO millwright_ingest;
GRANT SELECT ON TABLE raw.equipment TO millwright_transform;
GRANT SELECT ON TABLE raw.equipment TO millwright_score;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE raw.limits TO millwright_ingest;
GRANT SELECT ON TABLE raw.limits TO millwright_transform;
GRANT SELECT ON TABLE raw.limits TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.mes_quality_inspections TO millwright_ingest;
GRANT SELECT ON TABLE raw.mes_quality_inspections TO millwright_transform;
GRANT SELECT ON TABLE raw.mes_quality_inspections TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.mes_schedules TO millwright_ingest;
GRANT SELECT ON TABLE raw.mes_schedules TO millwright_transform;
GRANT SELECT ON TABLE raw.mes_schedules TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.mes_shifts TO millwright_ingest;
GRANT SELECT ON TABLE raw.mes_shifts TO millwright_transform;
GRANT SELECT ON TABLE raw.mes_shifts TO millwright_score;
GRANT SELECT ON TABLE raw.operator_feedback TO millwright_ingest;
GRANT SELECT ON TABLE raw.operator_feedback TO millwright_transform;
GRANT SELECT,INSERT ON TABLE raw.operator_feedback TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.plants TO millwright_ingest;
GRANT SELECT ON TABLE raw.plants TO millwright_transform;
GRANT SELECT ON TABLE raw.plants TO millwright_score;
GRANT SELECT,INSERT,DELETE ON TABLE raw.rejected_events TO millwright_ingest;
GRANT SELECT ON TABLE raw.rejected_events TO millwright_transform;
GRANT SELECT ON TABLE raw.rejected_events TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.sap_equipment TO millwright_ingest;
GRANT SELECT ON TABLE raw.sap_equipment TO millwright_transform;
GRANT SELECT ON TABLE raw.sap_equipment TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.sap_spare_parts TO millwright_ingest;
GRANT SELECT ON TABLE raw.sap_spare_parts TO millwright_transform;
GRANT SELECT ON TABLE raw.sap_spare_parts TO millwright_score;
GRANT SELECT,INSERT ON TABLE raw.sensor_events TO millwright_ingest;
GRANT SELECT ON TABLE raw.sensor_events TO millwright_transform;
GRANT SELECT ON TABLE raw.sensor_events TO millwright_score;
GRANT SELECT ON TABLE raw.sensor_events_20261101 TO millwright_ingest;
GRANT SELECT ON TABLE raw.sensor_events_20261101 TO millwright_transform;
GRANT SELECT ON TABLE raw.sensor_events_20261101 TO millwright_score;
GRANT SELECT ON TABLE raw.sensor_events_20261102 TO millwright_ingest;
GRANT SELECT ON TABLE raw.sensor_events_20261102 TO millwright_transform;
GRANT SELECT ON TABLE raw.sensor_events_20261102 TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.sensor_gaps TO millwright_ingest;
GRANT SELECT ON TABLE raw.sensor_gaps TO millwright_transform;
GRANT SELECT ON TABLE raw.sensor_gaps TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.tag_latest TO millwright_ingest;
GRANT SELECT ON TABLE raw.tag_latest TO millwright_transform;
GRANT SELECT ON TABLE raw.tag_latest TO millwright_score;
GRANT SELECT,INSERT,UPDATE ON TABLE raw.tags TO millwright_ingest;
GRANT SELECT ON TABLE raw.tags TO millwright_transform;
GRANT SELECT ON TABLE raw.tags TO millwright_score;
GRANT SELECT ON TABLE serving.equipment_state TO millwright_ingest;
GRANT SELECT ON TABLE serving.equipment_state TO millwright_transform;
GRANT SELECT ON TABLE serving.equipment_state TO millwright_score;
GRANT SELECT ON TABLE serving.equipment_state TO millwright_operator;
GRANT SELECT ON TABLE serving.equipment_state TO millwright_bi;
GRANT SELECT ON TABLE serving.recommendations_serving TO millwright_ingest;
GRANT SELECT ON TABLE serving.recommendations_serving TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE serving.recommendations_serving TO millwright_score;
GRANT SELECT ON TABLE serving.recommendations_serving TO millwright_operator;
GRANT SELECT ON TABLE serving.recommendations_serving TO millwright_bi;
GRANT SELECT ON TABLE serving.hmi_dashboard TO millwright_ingest;
GRANT SELECT ON TABLE serving.hmi_dashboard TO millwright_transform;
GRANT SELECT ON TABLE serving.hmi_dashboard TO millwright_score;
GRANT SELECT ON TABLE serving.hmi_dashboard TO millwright_operator;
GRANT SELECT ON TABLE serving.hmi_dashboard TO millwright_bi;
GRANT SELECT ON TABLE serving.operator_answers TO millwright_ingest;
GRANT SELECT ON TABLE serving.operator_answers TO millwright_transform;
GRANT SELECT,INSERT,UPDATE ON TABLE serving.operator_answers TO millwright_score;
GRANT SELECT ON TABLE serving.operator_answers TO millwright_operator;
GRANT SELECT ON TABLE serving.operator_answers TO millwright_bi;
GRANT SELECT ON TABLE serving.operator_feedback TO millwright_ingest;
GRANT SELECT ON TABLE serving.operator_feedback TO millwright_transform;
GRANT SELECT ON TABLE serving.operator_feedback TO millwright_score;
GRANT SELECT,INSERT ON TABLE serving.operator_feedback TO millwright_operator;
GRANT SELECT ON TABLE serving.operator_feedback TO millwright_bi;
GRANT SELECT ON TABLE serving.policy TO millwright_ingest;
GRANT SELECT ON TABLE serving.policy TO millwright_transform;
GRANT SELECT ON TABLE serving.policy TO millwright_score;
GRANT SELECT ON TABLE serving.policy TO millwright_operator;
GRANT SELECT ON TABLE serving.policy TO millwright_bi;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright_transform IN SCHEMA intermediate GRANT SELECT ON TABLES TO millwright_score;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright_transform IN SCHEMA marts GRANT SELECT ON TABLES TO millwright_score;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright_transform IN SCHEMA marts GRANT SELECT ON TABLES TO millwright_bi;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA ml GRANT SELECT ON TABLES TO millwright_transform;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA ml GRANT SELECT ON TABLES TO millwright_score;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA ml GRANT SELECT ON TABLES TO millwright_bi;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA ops GRANT SELECT ON TABLES TO millwright_ingest;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA ops GRANT SELECT ON TABLES TO millwright_transform;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA ops GRANT SELECT ON TABLES TO millwright_score;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA ops GRANT SELECT ON TABLES TO millwright_bi;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA raw GRANT SELECT ON TABLES TO millwright_ingest;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA raw GRANT SELECT ON TABLES TO millwright_transform;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA raw GRANT SELECT ON TABLES TO millwright_score;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA serving GRANT SELECT ON TABLES TO millwright_ingest;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA serving GRANT SELECT ON TABLES TO millwright_transform;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA serving GRANT SELECT ON TABLES TO millwright_score;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA serving GRANT SELECT ON TABLES TO millwright_operator;
ALTER DEFAULT PRIVILEGES FOR ROLE millwright IN SCHEMA serving GRANT SELECT ON TABLES TO millwright_bi;
