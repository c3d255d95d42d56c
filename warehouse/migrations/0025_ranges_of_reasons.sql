-- Reasons that aren't a deviation from a baseline have a normal range as well.
COMMENT ON COLUMN ml.explanations.normal_low IS
'two spreads below the machine''s mean at this load, of the baseline of the day before; without a baseline the 2.5th percentile in training';
COMMENT ON COLUMN ml.explanations.normal_high IS
'two spreads above it, or the 97.5th percentile; of flat minutes, what is no news yet';
