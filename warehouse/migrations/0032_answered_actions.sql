-- What an executed answer says was done becomes a label. A misspelt action was taken without a word, and taught that a
-- look was what helped.
CREATE FUNCTION serving.read_action() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.action_code := nullif(NEW.action_code, '');
    IF NEW.action_code NOT IN (
        'reduce_speed', 'schedule_maintenance', 'check_blockage', 'emergency_shutdown', 'preventive_inspection', 'continue_operation'
    ) THEN
        RAISE EXCEPTION 'action_code must be one of reduce_speed, schedule_maintenance, check_blockage, emergency_shutdown,'
            ' preventive_inspection, continue_operation, or none. Got: %', quote_literal(NEW.action_code)
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER read_action BEFORE INSERT ON serving.operator_answers
FOR EACH ROW EXECUTE FUNCTION serving.read_action();
