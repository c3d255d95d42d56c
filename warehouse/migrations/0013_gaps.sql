-- Which transaction recorded or last changed a gap: the minutes that it covers, and those that it covered before, are
-- rolled up again.
ALTER TABLE raw.sensor_gaps ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN raw.sensor_gaps.changed_xid IS 'the transaction that recorded the gap or last changed its ends or whether it is repaired';
CREATE INDEX sensor_gaps_changed ON raw.sensor_gaps (changed_xid);
-- What a stretch of time may miss, however old the ledger is.
CREATE INDEX sensor_gaps_ends ON raw.sensor_gaps (coalesce(to_ts, 'infinity')) WHERE NOT repaired;

CREATE FUNCTION raw.gap_changed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO raw.former_rows (table_name, row) VALUES (tg_table_name, to_jsonb(old));
    new.changed_xid := pg_current_xact_id();
    RETURN new;
END $$;
CREATE TRIGGER gap_changed BEFORE UPDATE ON raw.sensor_gaps FOR EACH ROW
WHEN ((old.from_ts, old.to_ts, old.repaired) IS DISTINCT FROM (new.from_ts, new.to_ts, new.repaired))
EXECUTE FUNCTION raw.gap_changed();
