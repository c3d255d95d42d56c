-- How likely a machine fails within a day, three and seven, and how sure the time to it is.
ALTER TABLE ml.scores
ADD COLUMN failure_24h double precision CHECK (failure_24h BETWEEN 0 AND 1),
ADD COLUMN failure_72h double precision CHECK (failure_72h BETWEEN 0 AND 1),
ADD COLUMN failure_7d double precision CHECK (failure_7d BETWEEN 0 AND 1),
ADD COLUMN ttf_low double precision,
ADD COLUMN ttf_high double precision;
ALTER TABLE ml.recommendations
ADD COLUMN ttf_low double precision,
ADD COLUMN ttf_high double precision;

COMMENT ON COLUMN ml.scores.failure_24h IS 'probability of a failure within 24 hours; NULL where the model does not look that far';
COMMENT ON COLUMN ml.scores.failure_72h IS 'the same within 72 hours';
COMMENT ON COLUMN ml.scores.failure_7d IS 'the same within 7 days';
COMMENT ON COLUMN ml.scores.estimated_ttf IS
'hours until failure if nothing is done, the median given that it comes within what the model looks ahead; NULL where nothing points to one';
COMMENT ON COLUMN ml.scores.ttf_low IS 'hours before which one failure in ten comes; the other end of an 80 % interval is ttf_high';
COMMENT ON COLUMN ml.scores.ttf_high IS 'hours by which nine failures in ten have come';
COMMENT ON COLUMN ml.recommendations.ttf_low IS 'as in ml.scores';
COMMENT ON COLUMN ml.recommendations.ttf_high IS 'as in ml.scores';
