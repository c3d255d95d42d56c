-- What retention deletes by row is found by an index, and what it refers to as well.
CREATE INDEX recommendations_score ON ml.recommendations (score_id);
CREATE INDEX recommendations_created ON ml.recommendations (created_at);
CREATE INDEX recommendations_serving_published ON serving.recommendations_serving (published_at);
CREATE INDEX operator_answers_recommendation ON serving.operator_answers (recommendation_id);
CREATE INDEX sensor_gaps_loss ON raw.sensor_gaps (loss_id);

-- Hot tables: a vacuum after so many rows, not after a fifth of a table that only grows.
ALTER TABLE ml.scores SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE ml.scored_features SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE serving.recommendations_serving SET (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02
);
ALTER TABLE serving.critical_alerts SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
-- A row each that every run of a pipeline writes again.
ALTER TABLE ops.watermarks SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 50);
ALTER TABLE ops.transform_runs SET (autovacuum_vacuum_scale_factor = 0.02);
