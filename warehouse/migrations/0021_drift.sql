-- What a model's training looked like, kept with the version: a day is held against it when the registry is away, when the
-- mart has let go of the training window, and without reading any history.
CREATE TABLE ml.reference (
    model_version text NOT NULL,
    equipment_id text NOT NULL,
    feature text NOT NULL,
    row_count integer NOT NULL,
    day_count integer NOT NULL,
    missing_share double precision NOT NULL,
    missing_spread double precision NOT NULL,
    spread double precision NOT NULL,
    quantiles double precision [] NOT NULL,
    edges double precision [] NOT NULL,
    shares double precision [] NOT NULL,
    root_psi_mean double precision,
    root_psi_spread double precision,
    distance_mean double precision,
    distance_spread double precision,
    effective_days double precision NOT NULL DEFAULT 0,
    is_clock boolean NOT NULL DEFAULT false,
    day_means double precision [] NOT NULL DEFAULT '{}',
    covariances double precision [] NOT NULL DEFAULT '{}',
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model_version, equipment_id, feature)
);
COMMENT ON TABLE ml.reference IS
'One row per model version, machine and feature: how the feature looked while the model learnt, and how much its days differed.';
COMMENT ON COLUMN ml.reference.equipment_id IS 'the machine; empty for the plant as a whole';
COMMENT ON COLUMN ml.reference.feature IS 'a feature of the model, or anomaly_score as the model gave it on held-out normal time';
COMMENT ON COLUMN ml.reference.day_count IS 'days of training that the means and spreads between days are of';
COMMENT ON COLUMN ml.reference.quantiles IS '100 quantiles, at 0.5 %, 1.5 %, … 99.5 %';
COMMENT ON COLUMN ml.reference.edges IS 'the deciles between which PSI counts; equal ones once';
COMMENT ON COLUMN ml.reference.shares IS 'share of the rows up to the first edge, between the edges, and beyond the last';
COMMENT ON COLUMN ml.reference.root_psi_mean IS 'square root of the PSI of a training day against the other days, mean over days';
COMMENT ON COLUMN ml.reference.distance_mean IS 'Wasserstein distance of a training day from the other days in units of spread, mean over days';
COMMENT ON COLUMN ml.reference.effective_days IS 'as many independent days would tell as much: each day resembles the one before';
COMMENT ON COLUMN ml.reference.is_clock IS 'it rises with the calendar, as an age does, so that a later day differs by itself';
COMMENT ON COLUMN ml.reference.day_means IS
'deviations over 60 minutes and load: mean of each training day, for what is told of a sensor and the process';
COMMENT ON COLUMN ml.reference.covariances IS
'the same: covariance with each of the machine''s deviations and load that have day_means, in the order of the features';

-- Nothing wrote to it before. A day that is judged again replaces what was said.
ALTER TABLE ml.drift
ADD COLUMN equipment_id text NOT NULL DEFAULT '',
ADD COLUMN since timestamptz,
ADD COLUMN bound double precision,
ADD COLUMN verdict text CHECK (verdict IN ('sensor', 'process', 'unclear')),
ADD COLUMN tag_ids integer [] NOT NULL DEFAULT '{}',
ADD COLUMN reason text;
CREATE UNIQUE INDEX drift_once ON ml.drift (moment, model_version, equipment_id, feature, statistic);
COMMENT ON TABLE ml.drift IS 'One row per day judged, machine (empty: the plant), feature and statistic of a drift check.';
COMMENT ON COLUMN ml.drift.since IS 'where the readings that were judged begin; they end at moment';
COMMENT ON COLUMN ml.drift.statistic IS
'psi, distance (Wasserstein by the training''s spread), missing (share of NULL), shift and residual (of the mean, in the machine''s own spread at its load)';
COMMENT ON COLUMN ml.drift.bound IS 'what the value must pass to count as drift; NULL where it could not be judged';
COMMENT ON COLUMN ml.drift.verdict IS
'sensor: one reading left what the machine''s others say; process: several moved, or all as they do together; unclear: it could be either';
COMMENT ON COLUMN ml.drift.tag_ids IS 'raw.tags that the feature is measured by, where it drifted';
COMMENT ON COLUMN ml.drift.reason IS 'in words: why the verdict, or why there was nothing to judge';

GRANT INSERT, DELETE ON ml.reference TO millwright_score;
GRANT UPDATE ON ml.drift TO millwright_score;
