-- What an executed answer says was done becomes a label. A misspelt action was taken without a word, and taught that a
-- look was what helped.
CREATE OR REPLACE FUNCTION serving.answer_recommendation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer serving.operator_answers;
    existing serving.operator_answers;
BEGIN
    answer.feedback_id := NEW.feedback_id;
    answer.equipment_id := NEW.equipment_id;
    answer.recommendation_timestamp := serving.read_timestamp(NEW.recommendation_timestamp, 'recommendation_timestamp');
    answer.action_code := nullif(NEW.action_code, '');
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
    IF answer.action_code NOT IN (
        'reduce_speed', 'schedule_maintenance', 'check_blockage', 'emergency_shutdown', 'preventive_inspection', 'continue_operation'
    ) THEN
        RAISE EXCEPTION 'action_code must be one of reduce_speed, schedule_maintenance, check_blockage, emergency_shutdown,'
            ' preventive_inspection, continue_operation, or none. Got: %', quote_literal(NEW.action_code)
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
