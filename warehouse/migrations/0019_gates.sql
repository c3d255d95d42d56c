-- What answers and outcomes come to, and whose recommendation was shown.

-- One rule for all that learn from answers or count them (ADR 30). It is a function of the moment, so that a training
-- as of the past resolves by what was known then.
CREATE FUNCTION ml.verdicts_at(moment timestamptz) RETURNS TABLE (
    label_id bigint, equipment_id text, from_ts timestamptz, to_ts timestamptz, label text, action_code text,
    source text, source_id text, judged_by text, judged_at timestamptz
)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (l.equipment_id, l.from_ts, l.to_ts)
        l.label_id, l.equipment_id, l.from_ts, l.to_ts, l.label, l.action_code, l.source, l.source_id, l.judged_by, l.judged_at
    FROM ml.labels AS l
    WHERE l.judged_at <= moment
        -- Of the outcomes of one stretch the last one stands: it was worked out from all that the CMMS said.
        AND NOT (l.source = 'cmms' AND EXISTS (
            SELECT FROM ml.labels AS n
            WHERE n.source = 'cmms' AND n.equipment_id = l.equipment_id AND n.from_ts = l.from_ts AND n.to_ts = l.to_ts
                AND n.label_id > l.label_id AND n.judged_at <= moment
        ))
    ORDER BY l.equipment_id, l.from_ts, l.to_ts, l.label = 'undecided', l.source <> 'cmms', l.judged_at DESC, l.label_id DESC
$$;
CREATE VIEW ml.verdicts AS SELECT * FROM ml.verdicts_at('infinity');
COMMENT ON FUNCTION ml.verdicts_at IS 'ml.verdicts as of a moment';
COMMENT ON VIEW ml.verdicts IS
'One row per judged stretch of a machine''s time: the label that counts. A decided outcome of the CMMS before the last decided answer before an undecided one.';
COMMENT ON COLUMN ml.labels.source_id IS 'the answer''s feedback_id; of an outcome machine, end of the stretch and how many outcomes it has had';
COMMENT ON COLUMN ml.labels.judged_by IS 'the operator, or the record of the CMMS';
COMMENT ON COLUMN ml.labels.judged_at IS 'when it was answered, or when the plant could have known the record';
COMMENT ON COLUMN serving.operator_answers.was_correct IS
'whether the recommendation was right, by ml.verdicts; NULL while undecided and for questions';

CREATE INDEX labels_outcomes ON ml.labels (equipment_id, from_ts, to_ts, label_id) WHERE source = 'cmms';

-- What an answer's recommendation came to is looked up by the record that came, not by going through all answers.
CREATE INDEX operator_answers_subject ON serving.operator_answers (equipment_id, recommendation_timestamp);
CREATE INDEX cmms_failures_available ON raw.cmms_failures (available_at);
CREATE INDEX cmms_work_orders_available ON raw.cmms_work_orders (available_at);

-- A machine-week is drawn where its number is below the share. md5, because it is the same on every server and for ever.
CREATE FUNCTION ml.drawn_at(equipment_id text, moment timestamptz, salt text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || left(md5(concat_ws('|', salt, equipment_id, to_char(moment AT TIME ZONE 'UTC', 'IYYY-IW'))), 8))::bit(32)::bigint / 4294967296.0
$$;
COMMENT ON FUNCTION ml.drawn_at IS 'a number from 0 to 1 for a machine''s ISO week (UTC) and a salt, the challenger''s version';

ALTER TABLE ml.recommendations ADD COLUMN published_by text NOT NULL DEFAULT 'champion'
CHECK (published_by IN ('champion', 'challenger'));
COMMENT ON COLUMN ml.recommendations.published_by IS
'challenger in the machine-weeks that were drawn for it, else champion; model_version is its version';

-- An alias that somebody moved in the registry is recorded when a gate finds it.
ALTER TABLE ml.promotions DROP CONSTRAINT promotions_gate_check, ADD CONSTRAINT promotions_gate_check
CHECK (gate IN ('first_model', 'challenger', 'promote', 'rollback', 'manual', 'registry'));
CREATE INDEX promotions_gate ON ml.promotions (gate, moment);
