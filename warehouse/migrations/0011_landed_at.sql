-- COPY inserts a page of rows at a time (one WAL record for many) only where no default is volatile, and
-- clock_timestamp() is. The start of the statement is the same to the millisecond that anyone reads it to.
ALTER TABLE raw.sensor_events ALTER COLUMN landed_at SET DEFAULT statement_timestamp();
