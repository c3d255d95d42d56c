"""Each role can do what its folder does, and is refused everything else."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from warehouse.roles import Role, connect
from warehouse.settings import Settings

SCORE = "INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code, confidence, moment) "  # noqa: E501
RECOMMENDATION = (
    "INSERT INTO serving.recommendations_serving (recommendation_id, equipment_id, timestamp, anomaly_score, severity, "
    "action_code, recommendation_text, confidence, model_version) "
    "VALUES ('r', 'E', now(), 0.9, 'critical', 'reduce_speed', 'x', 1, '1')"
)
READING = (
    "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at) "
    "VALUES (1, now(), 1, 0, 1, 'live', now())"
)
METRIC = "INSERT INTO ops.pipeline_metrics (stage, metric, value) VALUES ('s', 'm', 1)"
QUALITY = (
    "INSERT INTO ops.data_quality_results (checkpoint, moment, expectation, subject, succeeded, blocking) "
    "VALUES ('c', now(), 'e', 's', true, true)"
)
WATERMARK = (
    "INSERT INTO ops.watermarks (pipeline, snapshot, system_identifier, moment) "
    "SELECT 'p', pg_current_snapshot(), system_identifier, now() FROM pg_control_system()"
)
ALERT = (
    "INSERT INTO serving.critical_alerts (equipment_id, tag_id, measurement, timestamp, severity, direction, value, "
    "limit_value, action_code, recommendation_text) "
    "VALUES ('E', 1, 'temperature', now(), 'critical', 'high', 9, 8, 'reduce_speed', 'x')"
)

TUNING = "INSERT INTO ml.tunings VALUES ('t', 's', now(), 'c', 'h', now(), 3, 8, 0, 0, 0.5, 0.6, '{}', true, 'r', 1)"
REFERENCE = (
    "INSERT INTO ml.reference (model_version, equipment_id, feature, row_count, day_count, missing_share, "
    "missing_spread, spread, quantiles, edges, shares) VALUES ('1', '', 'f', 1, 1, 0, 0, 1, '{}', '{}', '{}')"
)

ALLOWED = [
    (Role.INGEST, "SELECT raw.ensure_partitions(now(), now())"),
    (Role.INGEST, READING),
    (Role.INGEST, "CREATE TEMP TABLE landing (LIKE raw.sensor_events) ON COMMIT DROP"),
    (Role.INGEST, "INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('m', 'M', 'UTC')"),
    (Role.INGEST, "INSERT INTO raw.rejected_events (reason, origin) VALUES ('x', 'live')"),
    (Role.INGEST, ALERT),
    (Role.INGEST, METRIC),
    (Role.TRANSFORM, "SELECT count(*) FROM raw.sensor_events"),
    (Role.TRANSFORM, "CREATE SCHEMA IF NOT EXISTS marts"),
    (Role.TRANSFORM, "CREATE TABLE marts.probe (n integer)"),
    (Role.TRANSFORM, "SELECT count(*) FROM ml.scores, serving.operator_answers"),
    (Role.TRANSFORM, WATERMARK),
    (Role.TRANSFORM, QUALITY),
    (Role.SCORE, "SELECT count(*) FROM raw.sensor_events, serving.operator_answers"),
    (Role.SCORE, SCORE + "VALUES ('E', now(), '1', 'champion', 0.5, 'reduce_speed', 1, now())"),
    (Role.SCORE, REFERENCE),
    (Role.SCORE, RECOMMENDATION),
    (Role.SCORE, ALERT),
    (Role.SCORE, WATERMARK),
    (Role.SCORE, QUALITY),
    (Role.SCORE, TUNING),
    (Role.SCORE, "CREATE TABLE optuna.probe (n integer)"),
    (Role.BI, "SELECT count(*) FROM ml.tunings"),
    (Role.OPERATOR, "SELECT count(*) FROM serving.hmi_dashboard"),
    (Role.OPERATOR, "SELECT count(*) FROM serving.operator_feedback"),
    (Role.OPERATOR, "SELECT count(*) FROM serving.critical_alerts"),
    (Role.TRANSFORM, "SELECT count(*) FROM ml.verdicts"),
    (Role.BI, "SELECT count(*) FROM ml.verdicts"),
    (Role.SCORE, "SELECT count(*) FROM ml.explanations"),
    (Role.OPERATOR, "SELECT count(*) FROM serving.recommendation_reasons, serving.recommendations_held"),
    (Role.BI, "SELECT count(*) FROM ml.explanations, serving.recommendation_reasons"),
    (Role.BI, "SELECT count(*) FROM ml.scores, ml.promotions, ops.data_quality_results, serving.hmi_dashboard"),
]
REFUSED = [
    (Role.INGEST, "SELECT count(*) FROM ml.scores"),
    (Role.INGEST, "UPDATE raw.sensor_events SET value = 0"),
    (Role.INGEST, "DELETE FROM raw.sensor_events"),
    (Role.INGEST, "DROP TABLE raw.sensor_events"),
    (Role.INGEST, RECOMMENDATION),
    (Role.TRANSFORM, READING),
    (Role.TRANSFORM, "UPDATE raw.tags SET unit = 'K'"),
    (Role.TRANSFORM, "CREATE TABLE raw.probe (n integer)"),
    (Role.TRANSFORM, SCORE + "VALUES ('E', now(), '1', 'champion', 0.5, 'reduce_speed', 1, now())"),
    (Role.TRANSFORM, RECOMMENDATION),
    (Role.SCORE, READING),
    (Role.SCORE, "DELETE FROM ml.scores"),
    (Role.SCORE, "UPDATE ml.labels SET label = 'undecided'"),
    (Role.SCORE, "UPDATE ml.scored_features SET contract = ''"),
    (Role.SCORE, "UPDATE ml.promotions SET passed = true"),
    (Role.SCORE, "UPDATE ml.tunings SET adopted = true"),
    (Role.TRANSFORM, TUNING),
    (Role.SCORE, "UPDATE ml.explanations SET contribution = 0"),
    (Role.OPERATOR, "SELECT count(*) FROM ml.explanations"),
    (Role.SCORE, "UPDATE ml.reference SET spread = 0"),
    (Role.SCORE, "CREATE TABLE marts.probe (n integer)"),
    (Role.OPERATOR, "SELECT count(*) FROM raw.sensor_events"),
    (Role.OPERATOR, "SELECT count(*) FROM ml.scores"),
    (Role.OPERATOR, "UPDATE serving.recommendations_serving SET status = 'executed'"),
    (Role.OPERATOR, "UPDATE serving.critical_alerts SET state = 'cleared'"),
    (Role.OPERATOR, "INSERT INTO serving.operator_answers SELECT * FROM serving.operator_answers"),
    (Role.OPERATOR, "UPDATE serving.operator_feedback SET operator_action = 'executed'"),
    (Role.OPERATOR, "DELETE FROM serving.operator_feedback"),
    (Role.OPERATOR, "UPDATE serving.policy SET deferral = '1 s'"),
    (Role.OPERATOR, "CREATE TABLE serving.probe (n integer)"),
    (Role.BI, "SELECT count(*) FROM raw.sensor_events"),
    (Role.BI, METRIC),
    (Role.BI, "INSERT INTO serving.operator_feedback (feedback_id) VALUES ('f')"),
    (Role.BI, "SELECT serving.acknowledge_alert(1::bigint, 'x')"),
    (Role.BI, "SELECT serving.acknowledge_alert('1'::text, 'x')"),
]


@pytest.mark.parametrize(("role", "statement"), ALLOWED, ids=str)
def test_a_role_can_do_its_work(warehouse: Settings, admin: psycopg.Connection, role: Role, statement: str) -> None:
    admin.execute("SELECT raw.ensure_partitions(now(), now())")
    with connect(warehouse, role) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(("role", "statement"), REFUSED, ids=str)
def test_a_role_is_refused_the_rest(cluster: Settings, role: Role, statement: str) -> None:
    # Refused before anything is written, so the template itself will do.
    with connect(cluster, role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("role", [Role.AIRFLOW, Role.MLFLOW])
def test_the_tools_have_their_own_database_and_no_other(cluster: Settings, role: Role) -> None:
    with connect(cluster, role, role.value) as connection:
        connection.execute("CREATE TABLE probe (n integer)")
        connection.rollback()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(cluster, role)


def test_what_dbt_builds_is_readable_by_those_who_read_marts(warehouse: Settings) -> None:
    with connect(warehouse, Role.TRANSFORM) as dbt:
        dbt.execute("CREATE TABLE marts.probe (n integer)")
        dbt.execute("CREATE TABLE staging.probe (n integer)")
    for role in (Role.SCORE, Role.BI):
        with connect(warehouse, role) as connection:
            connection.execute("SELECT * FROM marts.probe")
    with connect(warehouse, Role.BI) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM staging.probe")
