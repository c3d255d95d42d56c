-- What the system knows about itself.

-- A watermark is a stored snapshot, not a clock: new is what a later snapshot sees and this one didn't.
CREATE TABLE ops.watermarks (
    pipeline text PRIMARY KEY,
    snapshot pg_snapshot NOT NULL,
    system_identifier bigint NOT NULL,
    moment timestamptz NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN ops.watermarks.system_identifier IS
'the cluster that the snapshot belongs to; after a restore into another one it means nothing and everything is read again';

-- One row per dbt run: the range of transactions that it reads, pinned at its start.
CREATE TABLE ops.transform_runs (
    run_id text PRIMARY KEY,
    since pg_snapshot,
    until pg_snapshot NOT NULL,
    moment timestamptz NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    succeeded boolean
);

CREATE TABLE ops.pipeline_metrics (
    measured_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    stage text NOT NULL,
    metric text NOT NULL,
    value double precision NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX pipeline_metrics_recent ON ops.pipeline_metrics (stage, metric, measured_at);

CREATE TABLE ops.data_quality_results (
    result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checkpoint text NOT NULL,
    moment timestamptz NOT NULL,
    expectation text NOT NULL,
    subject text NOT NULL,
    succeeded boolean NOT NULL,
    blocking boolean NOT NULL,
    observed jsonb,
    detail text,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT INSERT, UPDATE ON ops.watermarks, ops.transform_runs TO millwright_transform, millwright_score;
GRANT INSERT ON ops.pipeline_metrics TO millwright_ingest, millwright_transform, millwright_score;
GRANT INSERT ON ops.data_quality_results TO millwright_score, millwright_transform;
