-- A version of a baseline is written once. A run that failed after it had written some left them to a next run that took
-- them for followed: the windows that see them kept what they said before.
ALTER TABLE ops.transform_runs ADD COLUMN baselines_xid xid8;
ALTER TABLE ops.watermarks ADD COLUMN baselines_xid xid8;
COMMENT ON COLUMN ops.transform_runs.baselines_xid IS 'the transaction in which the run made baselines';
COMMENT ON COLUMN ops.watermarks.baselines_xid IS
'of the pipeline transform: baselines written up to this transaction are in the windows that see them';
