-- What an HMI reads and writes. These names and columns are the contract with HMIs and BI: they don't change.

CREATE TABLE serving.recommendations_serving (
    recommendation_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    "timestamp" timestamptz(3) NOT NULL,
    anomaly_score double precision NOT NULL,
    severity text NOT NULL CHECK (severity IN ('minor', 'significant', 'critical')),
    action_code text NOT NULL CHECK (action_code IN (
        'reduce_speed', 'schedule_maintenance', 'check_blockage', 'emergency_shutdown', 'preventive_inspection', 'continue_operation'
    )),
    recommendation_text text NOT NULL,
    confidence double precision NOT NULL,
    estimated_ttf double precision,
    temp_avg_5min double precision,
    vibration_avg_5min double precision,
    throughput_avg_5min double precision,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'executed', 'deferred', 'rejected', 'expired')),
    model_version text NOT NULL,
    deferred_until timestamptz,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (equipment_id, "timestamp")
);
CREATE INDEX recommendations_pending ON serving.recommendations_serving (equipment_id, anomaly_score DESC) WHERE status = 'pending';
CREATE INDEX recommendations_deferred ON serving.recommendations_serving (deferred_until) WHERE status = 'deferred';
COMMENT ON COLUMN serving.recommendations_serving.estimated_ttf IS 'hours until failure if nothing is done';
COMMENT ON COLUMN serving.recommendations_serving.deferred_until IS 'a deferred recommendation is pending again from here';

CREATE TABLE serving.operator_answers (
    feedback_id text PRIMARY KEY,
    recommendation_id text REFERENCES serving.recommendations_serving ON DELETE SET NULL,
    equipment_id text NOT NULL,
    recommendation_timestamp timestamptz(3) NOT NULL,
    action_code text,
    anomaly_score double precision,
    operator_action text NOT NULL CHECK (operator_action IN ('executed', 'deferred', 'rejected', 'ask_ai_why')),
    operator_id text,
    action_timestamp timestamptz NOT NULL,
    operator_notes text,
    shift text,
    session_id text,
    asked_genie boolean,
    was_correct boolean,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX operator_answers_created ON serving.operator_answers (created_at);

-- HMIs bind every parameter as varchar, which Postgres assigns to text and to nothing else; a view whose columns are
-- text takes strings, numbers, booleans and timestamps alike, and its trigger says clearly what can't be read.
CREATE VIEW serving.operator_feedback AS
SELECT
    feedback_id,
    equipment_id,
    recommendation_timestamp::text AS recommendation_timestamp,
    action_code,
    anomaly_score::text AS anomaly_score,
    operator_action,
    operator_id,
    action_timestamp::text AS action_timestamp,
    operator_notes,
    shift,
    session_id,
    asked_genie::text AS asked_genie,
    was_correct,
    created_at
FROM serving.operator_answers;

-- One row; `python -m warehouse migrate` brings it to what the settings say.
CREATE TABLE serving.policy (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    deferral interval NOT NULL DEFAULT '30 minutes' CHECK (deferral > interval '0')
);
COMMENT ON COLUMN serving.policy.deferral IS 'a deferred recommendation is pending again after this long';
INSERT INTO serving.policy DEFAULT VALUES;

CREATE FUNCTION serving.read_timestamp(given text, what text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
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
END $$;

CREATE FUNCTION serving.answer_recommendation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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

CREATE TRIGGER answer_recommendation INSTEAD OF INSERT ON serving.operator_feedback
FOR EACH ROW EXECUTE FUNCTION serving.answer_recommendation();

CREATE TABLE serving.critical_alerts (
    alert_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    equipment_id text NOT NULL,
    tag_id integer NOT NULL,
    measurement text NOT NULL,
    position text NOT NULL DEFAULT '',
    "timestamp" timestamptz(3) NOT NULL,
    severity text NOT NULL CHECK (severity IN ('warning', 'critical', 'emergency')),
    direction text NOT NULL CHECK (direction IN ('high', 'low')),
    value double precision NOT NULL,
    limit_value double precision NOT NULL,
    unit text NOT NULL DEFAULT '',
    action_code text NOT NULL,
    recommendation_text text NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'acknowledged', 'shelved', 'cleared')),
    transitions integer NOT NULL DEFAULT 1,
    acknowledged_by text,
    acknowledged_at timestamptz,
    shelved_by text,
    shelved_until timestamptz,
    cleared_at timestamptz,
    raised_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX critical_alerts_open ON serving.critical_alerts (equipment_id) WHERE state <> 'cleared';
CREATE UNIQUE INDEX critical_alerts_one_open ON serving.critical_alerts (tag_id, severity, direction) WHERE state <> 'cleared';

-- A notification is a hint, the table is the truth: a text too long for Postgres' 8,000 bytes is cut, and never fails the row.
CREATE FUNCTION serving.announce(payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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

-- Every alert transition is announced, whoever makes it.
CREATE FUNCTION serving.announce_alert() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM serving.announce(jsonb_build_object(
        'kind', 'alert', 'alert_id', NEW.alert_id, 'equipment_id', NEW.equipment_id, 'timestamp', NEW.timestamp, 'severity', NEW.severity,
        'action_code', NEW.action_code, 'recommendation_text', NEW.recommendation_text, 'state', NEW.state));
    RETURN NULL;
END $$;
CREATE TRIGGER announce_new_alert AFTER INSERT ON serving.critical_alerts FOR EACH ROW EXECUTE FUNCTION serving.announce_alert();
CREATE TRIGGER announce_alert_transition AFTER UPDATE OF state ON serving.critical_alerts FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION serving.announce_alert();

CREATE FUNCTION serving.announce_recommendation() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM serving.announce(jsonb_build_object(
        'kind', 'recommendation', 'recommendation_id', NEW.recommendation_id, 'equipment_id', NEW.equipment_id, 'timestamp', NEW.timestamp,
        'severity', NEW.severity, 'action_code', NEW.action_code, 'recommendation_text', NEW.recommendation_text,
        'anomaly_score', NEW.anomaly_score, 'confidence', NEW.confidence, 'published_at', NEW.published_at, 'returned', TG_OP = 'UPDATE'));
    RETURN NULL;
END $$;
-- What was answered before it came here (imported history) is no news.
CREATE TRIGGER announce_recommendation AFTER INSERT ON serving.recommendations_serving FOR EACH ROW
WHEN (NEW.status = 'pending') EXECUTE FUNCTION serving.announce_recommendation();
CREATE TRIGGER announce_returned_recommendation AFTER UPDATE OF status ON serving.recommendations_serving FOR EACH ROW
WHEN (OLD.status = 'deferred' AND NEW.status = 'pending') EXECUTE FUNCTION serving.announce_recommendation();

CREATE FUNCTION serving.acknowledge_alert(p_alert_id bigint, p_operator_id text) RETURNS serving.critical_alerts
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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

CREATE FUNCTION serving.shelve_alert(p_alert_id bigint, p_operator_id text, p_until timestamptz) RETURNS serving.critical_alerts
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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

-- The same for an HMI that binds every parameter as varchar.
CREATE FUNCTION serving.read_alert_id(given text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN given::bigint;
EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
    RAISE EXCEPTION 'alert_id is not a whole number: got %', quote_nullable(given) USING ERRCODE = 'invalid_text_representation';
END $$;

CREATE FUNCTION serving.acknowledge_alert(p_alert_id text, p_operator_id text) RETURNS serving.critical_alerts
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT serving.acknowledge_alert(serving.read_alert_id(p_alert_id), p_operator_id);
$$;

CREATE FUNCTION serving.shelve_alert(p_alert_id text, p_operator_id text, p_until text) RETURNS serving.critical_alerts
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT serving.shelve_alert(serving.read_alert_id(p_alert_id), p_operator_id, serving.read_timestamp(p_until, 'until'));
$$;

-- Current state from the last value of each tag: fresh to the second, and no dbt relation, whose rebuild would drop it.
CREATE VIEW serving.equipment_state AS
WITH latest AS (
    SELECT
        t.equipment_id,
        t.measurement,
        t.role,
        l.value,
        l.source_ts,
        -- A state as the server sends it, in the words of plant.yml.
        coalesce(t.states ->> coalesce(l.value_text, l.value::text), lower(coalesce(l.value_text, l.value::text))) AS state,
        -- NaN sorts above infinity.
        l.status >> 30 = 0 AND coalesce(l.value > '-Infinity' AND l.value < 'Infinity', true) AS is_good
    FROM raw.tags AS t
    INNER JOIN raw.tag_latest AS l ON t.tag_id = l.tag_id
    WHERE t.valid_to IS NULL
)

SELECT
    e.equipment_id,
    e.name AS equipment_name,
    e.area,
    e.equipment_type,
    max(l.state) FILTER (WHERE l.role = 'state') AS run_state,
    avg(l.value) FILTER (WHERE l.measurement = 'temperature' AND l.role = 'measurement' AND l.is_good) AS temperature,
    max(l.value) FILTER (WHERE l.measurement = 'vibration' AND l.role = 'measurement' AND l.is_good) AS vibration,
    avg(l.value) FILTER (WHERE l.measurement = 'pressure' AND l.role = 'measurement' AND l.is_good) AS pressure,
    avg(l.value) FILTER (WHERE l.measurement = 'throughput' AND l.role = 'measurement' AND l.is_good) AS throughput,
    avg(l.value) FILTER (WHERE l.measurement = 'power' AND l.role = 'measurement' AND l.is_good) AS power,
    avg(l.value) FILTER (WHERE l.measurement = 'speed' AND l.role = 'measurement' AND l.is_good) AS speed,
    avg(l.value) FILTER (WHERE l.measurement = 'current' AND l.role = 'measurement' AND l.is_good) AS "current",
    avg(l.value) FILTER (WHERE l.measurement = 'voltage' AND l.role = 'measurement' AND l.is_good) AS voltage,
    count(*) FILTER (WHERE NOT l.is_good) AS bad_tags,
    max(l.source_ts) AS last_value_at,
    extract(EPOCH FROM clock_timestamp() - max(l.source_ts))::double precision AS data_age_s
FROM raw.equipment AS e
LEFT JOIN latest AS l ON e.equipment_id = l.equipment_id
WHERE e.retired_at IS NULL
GROUP BY e.equipment_id;
COMMENT ON VIEW serving.equipment_state IS 'One row per equipment in service: its last good values, averaged over positions (vibration: the largest).';

CREATE VIEW serving.hmi_dashboard AS
SELECT
    s.*,
    score.anomaly_score,
    score.window_end AS scored_at,
    coalesce(alerts.open_alerts, 0) AS open_alerts,
    alerts.worst_alert,
    pending.recommendation_id,
    pending.timestamp AS recommendation_timestamp,
    pending.anomaly_score AS recommendation_score,
    pending.severity,
    pending.action_code,
    pending.recommendation_text,
    pending.confidence,
    pending.estimated_ttf
FROM serving.equipment_state AS s
LEFT JOIN LATERAL (
    SELECT sc.anomaly_score, sc.window_end FROM ml.scores AS sc
    WHERE sc.equipment_id = s.equipment_id AND sc.role = 'champion' AND sc.superseded_at IS NULL
    ORDER BY sc.window_end DESC LIMIT 1
) AS score ON true
LEFT JOIN LATERAL (
    SELECT
        count(*) AS open_alerts,
        (array_agg(a.severity ORDER BY array_position(ARRAY['emergency', 'critical', 'warning'], a.severity)))[1] AS worst_alert
    FROM serving.critical_alerts AS a WHERE a.equipment_id = s.equipment_id AND a.state <> 'cleared'
) AS alerts ON true
LEFT JOIN LATERAL (
    SELECT r.* FROM serving.recommendations_serving AS r
    WHERE r.equipment_id = s.equipment_id AND r.status = 'pending' ORDER BY r.anomaly_score DESC LIMIT 1
) AS pending ON true;
CREATE INDEX scores_equipment ON ml.scores (equipment_id, window_end DESC) WHERE role = 'champion' AND superseded_at IS NULL;

GRANT SELECT, INSERT, UPDATE ON serving.recommendations_serving TO millwright_score;
GRANT INSERT, UPDATE ON serving.operator_answers TO millwright_score;
GRANT INSERT, UPDATE ON serving.critical_alerts TO millwright_ingest;
GRANT SELECT, INSERT, UPDATE ON serving.critical_alerts TO millwright_score;
GRANT INSERT ON serving.operator_feedback TO millwright_operator;
REVOKE EXECUTE ON FUNCTION serving.acknowledge_alert(bigint, text), serving.acknowledge_alert(text, text),
serving.shelve_alert(bigint, text, timestamptz), serving.shelve_alert(text, text, text), serving.answer_recommendation() FROM public;
GRANT EXECUTE ON FUNCTION serving.acknowledge_alert(bigint, text), serving.acknowledge_alert(text, text),
serving.shelve_alert(bigint, text, timestamptz), serving.shelve_alert(text, text, text) TO millwright_operator;
