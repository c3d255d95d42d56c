-- Which training a gate's row is of, what ends a challenger's time without gate 2, and whether a score knew its like.

-- A training that was refused has no version: two at one moment are told apart by their ids.
ALTER TABLE ml.promotions ADD COLUMN training_id text;
COMMENT ON COLUMN ml.promotions.training_id IS 'the training that gate 1 judged; NULL for other gates, and before this was kept';
ALTER TABLE ml.promotions DROP CONSTRAINT promotions_gate_check, ADD CONSTRAINT promotions_gate_check
CHECK (gate IN ('first_model', 'challenger', 'promote', 'rollback', 'manual', 'registry', 'place'));
COMMENT ON COLUMN ml.promotions.gate IS
'challenger is gate 1, promote gate 2; place is the end of a challenger''s time without gate 2; manual and rollback are a person''s';

ALTER TABLE ml.scores ADD COLUMN precedent boolean;
COMMENT ON COLUMN ml.scores.precedent IS
'whether the model knew something like it, so that its action stands on that; NULL before this was kept';
