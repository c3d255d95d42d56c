-- What a machine has planned from a minute on is found by an index, however many years of plans there are.
CREATE INDEX mes_schedules_ends ON raw.mes_schedules (equipment_id, ends_at);
