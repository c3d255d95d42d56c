-- What a version was made of, so that it can be made again, and what a search for its parameters came to.
ALTER TABLE ml.training_runs
ADD COLUMN snapshot pg_snapshot,
ADD COLUMN system_identifier bigint,
ADD COLUMN since_ts timestamptz,
ADD COLUMN until_ts timestamptz,
ADD COLUMN held_out_from timestamptz,
ADD COLUMN sample_rows integer,
ADD COLUMN contract text,
ADD COLUMN code_version text,
ADD COLUMN code_hash text,
ADD COLUMN libraries jsonb,
ADD COLUMN policy jsonb,
ADD COLUMN parameters jsonb,
ADD COLUMN tuning_id text,
ADD COLUMN model_hash text;
COMMENT ON TABLE ml.training_runs IS 'One row per training, also of one that was refused or failed.';
COMMENT ON COLUMN ml.training_runs.snapshot IS 'what the read of the training rows saw; of the cluster system_identifier';
COMMENT ON COLUMN ml.training_runs.since_ts IS 'end of the first window that the mart had';
COMMENT ON COLUMN ml.training_runs.until_ts IS 'end of the last window up to the moment';
COMMENT ON COLUMN ml.training_runs.held_out_from IS 'windows that end later judge, the others teach';
COMMENT ON COLUMN ml.training_runs.sample_rows IS 'labelled rows that were drawn, those that teach and those that judge';
COMMENT ON COLUMN ml.training_runs.data_hash IS 'hash of the drawn rows: machines, times, features, labels and weights';
COMMENT ON COLUMN ml.training_runs.code_version IS 'commit, with +changes where files differed from it; else the version of the package';
COMMENT ON COLUMN ml.training_runs.code_hash IS 'hash of the sources of ml/';
COMMENT ON COLUMN ml.training_runs.libraries IS 'versions of Python and of the libraries that fit';
COMMENT ON COLUMN ml.training_runs.policy IS 'the policy that the rows were drawn and labelled by';
COMMENT ON COLUMN ml.training_runs.parameters IS 'of the estimator';
COMMENT ON COLUMN ml.training_runs.tuning_id IS 'the search that the parameters came from; NULL for the built-in ones';
COMMENT ON COLUMN ml.training_runs.model_hash IS 'hash of everything that was fitted: equal for models that are equal bit for bit';

CREATE TABLE ml.tunings (
    tuning_id text PRIMARY KEY,
    study text NOT NULL,
    moment timestamptz NOT NULL,
    contract text NOT NULL,
    data_hash text NOT NULL,
    learnt_until timestamptz NOT NULL,
    folds integer NOT NULL,
    trials integer NOT NULL,
    pruned integer NOT NULL,
    seed integer NOT NULL,
    default_value double precision NOT NULL,
    best_value double precision NOT NULL,
    parameters jsonb NOT NULL,
    adopted boolean NOT NULL,
    reason text NOT NULL,
    seconds double precision NOT NULL,
    tuned_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ml.tunings IS 'One row per search for better parameters; its trials are in the schema optuna.';
COMMENT ON COLUMN ml.tunings.study IS 'name of the study in the schema optuna';
COMMENT ON COLUMN ml.tunings.learnt_until IS
'end of the last window that was looked at; a training whose held-out time begins earlier may not use the parameters';
COMMENT ON COLUMN ml.tunings.trials IS 'of the study, in all; pruned ones among them were given up after some folds';
COMMENT ON COLUMN ml.tunings.default_value IS 'mean over the folds with the built-in parameters';
COMMENT ON COLUMN ml.tunings.adopted IS 'better than the built-in parameters by more than the policy asks; else those are used';
GRANT INSERT ON ml.tunings TO millwright_score;

-- Optuna makes and upgrades its own tables here.
CREATE SCHEMA optuna AUTHORIZATION millwright_score;
