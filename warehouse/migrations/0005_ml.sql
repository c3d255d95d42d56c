-- What the models saw, said and were judged by.

CREATE TABLE ml.scores (
    score_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    equipment_id text NOT NULL,
    window_end timestamptz NOT NULL,
    model_version text NOT NULL,
    role text NOT NULL CHECK (role IN ('champion', 'challenger', 'replayed')),
    anomaly_score double precision NOT NULL CHECK (anomaly_score BETWEEN 0 AND 1),
    unsupervised_score double precision,
    supervised_score double precision,
    action_code text NOT NULL,
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    estimated_ttf double precision,
    over_gap boolean NOT NULL DEFAULT false,
    moment timestamptz NOT NULL,
    scored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    superseded_at timestamptz
);
CREATE UNIQUE INDEX scores_current ON ml.scores (equipment_id, window_end, model_version, role) WHERE superseded_at IS NULL;
CREATE INDEX scores_window ON ml.scores (window_end);
COMMENT ON COLUMN ml.scores.estimated_ttf IS 'hours until failure if nothing is done; NULL where nothing points to one';
COMMENT ON COLUMN ml.scores.over_gap IS 'readings are missing in the window';
COMMENT ON COLUMN ml.scores.moment IS 'the moment the run worked for, an argument, not the clock';
COMMENT ON COLUMN ml.scores.superseded_at IS 'set when late data changed the window and a newer score took its place';

-- The vector that a score was made from; append-only.
CREATE TABLE ml.scored_features (
    score_id bigint PRIMARY KEY REFERENCES ml.scores ON DELETE CASCADE,
    equipment_id text NOT NULL,
    window_end timestamptz NOT NULL,
    features jsonb NOT NULL,
    contract text NOT NULL
);
CREATE INDEX scored_features_window ON ml.scored_features (equipment_id, window_end);
COMMENT ON COLUMN ml.scored_features.contract IS 'hash of the feature names, in order, that the model was trained on';

-- Every candidate, shown or held back.
CREATE TABLE ml.recommendations (
    recommendation_id text PRIMARY KEY,
    equipment_id text NOT NULL,
    "timestamp" timestamptz(3) NOT NULL,
    score_id bigint REFERENCES ml.scores ON DELETE SET NULL,
    anomaly_score double precision NOT NULL,
    severity text NOT NULL CHECK (severity IN ('minor', 'significant', 'critical')),
    action_code text NOT NULL,
    recommendation_text text NOT NULL,
    confidence double precision NOT NULL,
    estimated_ttf double precision,
    temp_avg_5min double precision,
    vibration_avg_5min double precision,
    throughput_avg_5min double precision,
    model_version text NOT NULL,
    held_reason text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX recommendations_equipment ON ml.recommendations (equipment_id, "timestamp");
COMMENT ON COLUMN ml.recommendations.held_reason IS 'why operators do not see it; NULL where it was published';

-- Judgments, apart from features, with who and when; append-only.
CREATE TABLE ml.labels (
    label_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    equipment_id text NOT NULL,
    from_ts timestamptz NOT NULL,
    to_ts timestamptz NOT NULL,
    label text NOT NULL CHECK (label IN ('true_positive', 'false_positive', 'undecided')),
    action_code text,
    source text NOT NULL CHECK (source IN ('feedback', 'cmms')),
    source_id text NOT NULL,
    judged_by text,
    judged_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (source, source_id)
);
CREATE INDEX labels_equipment ON ml.labels (equipment_id, from_ts);

CREATE TABLE ml.training_runs (
    training_id text PRIMARY KEY,
    moment timestamptz NOT NULL,
    model_version text,
    mlflow_run_id text,
    training_rows integer,
    positive_rows integer,
    held_out_rows integer,
    data_hash text,
    seed integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('trained', 'refused', 'failed')),
    reason text,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);

CREATE TABLE ml.evaluations (
    evaluation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    training_id text REFERENCES ml.training_runs,
    model_version text NOT NULL,
    held_out_from timestamptz NOT NULL,
    held_out_to timestamptz NOT NULL,
    metric text NOT NULL,
    value double precision,
    evaluated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Every number of a gate is a row, passed or not.
CREATE TABLE ml.promotions (
    promotion_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    moment timestamptz NOT NULL,
    gate text NOT NULL CHECK (gate IN ('first_model', 'challenger', 'promote', 'rollback', 'manual')),
    candidate_version text,
    champion_version text,
    criterion text NOT NULL,
    candidate_value double precision,
    champion_value double precision,
    bound double precision,
    passed boolean NOT NULL,
    decision text,
    reason text NOT NULL,
    decided_by text NOT NULL DEFAULT 'gate',
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN ml.promotions.criterion IS '''decision'' on the row that sums the gate up';

CREATE TABLE ml.drift (
    drift_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    moment timestamptz NOT NULL,
    model_version text NOT NULL,
    feature text NOT NULL,
    statistic text NOT NULL,
    value double precision,
    drifted boolean NOT NULL
);

GRANT INSERT, UPDATE ON ml.scores, ml.recommendations, ml.training_runs TO millwright_score;
GRANT INSERT ON ml.scored_features, ml.labels, ml.evaluations, ml.promotions, ml.drift TO millwright_score;
