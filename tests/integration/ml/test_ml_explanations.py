"""Why: stored beside what was shown, readable by operators, adding up to what the model said."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from ml import registry, scoring
from ml.__main__ import app
from ml.errors import ModelError, RegistryError
from ml.learning import training
from ml.policy import Policy
from ml.recommending import explanations, publishing
from tests.integration.ml.conftest import NOON, Fault, Fill
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MINUTE = timedelta(minutes=1)


@pytest.fixture
def alerted(with_past: Settings, build: Fill, policy: Policy) -> Settings:
    """A bearing of PUMP-2 that goes within minutes was recommended on, and got worse."""
    training.train(with_past, NOON, policy, bootstrap=True)
    fault = Fault("PUMP-2", "vibration", NOON, NOON + 6 * MINUTE, 12.0)
    for minute in range(1, 7):
        build(NOON + (minute - 1) * MINUTE, NOON + minute * MINUTE, (fault,))
        scoring.score(with_past, NOON + minute * MINUTE)
        publishing.publish(with_past, NOON + minute * MINUTE, policy)
    return with_past


def test_what_was_shown_is_explained_once_and_adds_up(
    alerted: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end = NOON + 6 * MINUTE
    with connect(alerted, Role.INGEST) as ingest:
        ingest.execute(
            "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause)"
            " SELECT tag_id, %s, %s, 'reconnect' FROM raw.tags WHERE equipment_id = 'PUMP-2'",
            (NOON - 20 * MINUTE, NOON - 10 * MINUTE),
        )
    explained = explanations.explain_new(alerted, end)
    shown = admin.execute(
        "SELECT recommendation_id, cause FROM ml.recommendations WHERE shown_as IS NOT NULL"
    ).fetchall()
    assert "schedule_maintenance/vibration" in {cause for _, cause in shown}, shown
    assert set(explained) == {name for name, _ in shown}
    assert explanations.explain_new(alerted, end) == [], "once"
    # The sums that the table claims.
    off = admin.execute(
        "SELECT max(abs(base + total - output)) FROM (SELECT min(base_value) AS base, sum(contribution) AS total,"
        " max(output_value) AS output FROM ml.explanations GROUP BY recommendation_id, channel) AS sums"
    ).fetchone()
    assert off is not None and off[0] < 1e-6
    with connect(alerted, Role.OPERATOR) as operator:
        reasons = operator.execute(
            "SELECT s.recommendation_id, r.rank, r.measurement, r.direction, r.value, r.normal_low, r.normal_high,"
            " r.unit, r.data_gaps, r.model_version FROM serving.recommendations_serving AS s"
            " JOIN serving.recommendation_reasons AS r USING (equipment_id, timestamp)"
            " WHERE s.equipment_id = 'PUMP-2' AND s.action_code = 'schedule_maintenance' ORDER BY r.rank"
        ).fetchall()
    assert [row[1] for row in reasons] == list(range(1, len(reasons) + 1)) and len(reasons) <= 5
    _, _, measurement, direction, value, low, high, unit, gaps, version = reasons[0]
    assert (measurement, direction, low, high, unit) == ("vibration", "above", -2.0, 2.0, "σ")
    assert value > 2 and gaps == "vibration 11:40 to 11:50 (reconnect)"
    assert version == registry.aliases(alerted)[registry.CHAMPION]

    # A candidate that was held back can be asked about as well, and the command says the same as the table.
    held = admin.execute(
        "SELECT recommendation_id FROM ml.recommendations WHERE cause = 'schedule_maintenance/vibration'"
        " AND (held_reason LIKE 'open:%' OR held_reason LIKE 'not confirmed:%')"
    ).fetchone()
    monkeypatch.setattr("ml.__main__.Settings", lambda: alerted)
    for name in (reasons[0][0], *(held or ())):
        told = CliRunner().invoke(app, ["explain", name])
        assert told.exit_code == 0, told.output
        assert "1. vibration (mean of " in told.output and "contributions of" in told.output
        assert "Model version" in told.output and "Missing readings: vibration 11:40 to 11:50" in told.output


def test_of_more_than_five_reasons_people_see_the_five_strongest_each_of_another_measurement(
    warehouse: Settings, admin: psycopg.Connection
) -> None:
    admin.execute(
        "WITH kept AS (INSERT INTO ml.recommendations (recommendation_id, equipment_id, timestamp, anomaly_score,"
        " severity, action_code, recommendation_text, confidence, model_version, shown_as)"
        " VALUES ('r', 'PUMP-1', %s, 0.9, 'critical', 'reduce_speed', 'x', 1, '1', 'r') RETURNING *)"
        " INSERT INTO serving.recommendations_serving (recommendation_id, equipment_id, timestamp, anomaly_score,"
        " severity, action_code, recommendation_text, confidence, model_version) SELECT recommendation_id,"
        " equipment_id, timestamp, anomaly_score, severity, action_code, recommendation_text, confidence,"
        " model_version FROM kept",
        (NOON,),
    )
    # By rank; what is stuck is another reason than what is far out.
    ranked = (
        "vibration_deviation_5m", "vibration_deviation_15m", "temperature_deviation_5m", "vibration_flat_minutes",
        "power_deviation_5m", "temperature_deviation_60m", "speed_deviation_5m", "pressure_deviation_5m", "load_ratio",
    )  # fmt: skip
    for place, feature in enumerate(ranked, start=1):
        admin.execute(
            "INSERT INTO ml.explanations (recommendation_id, rank, channel, feature, measurement, window_minutes, unit,"
            " direction, contribution, base_value, output_value, model_version)"
            " VALUES ('r', %s, 't2', %s, %s, 5, 'σ', 'above', 1, 0, 9, '1')",
            (place, feature, feature.split("_")[0]),
        )
    five = [ranked[place - 1] for place in (1, 3, 4, 5, 7)]
    shown = admin.execute("SELECT feature, rank FROM serving.recommendation_reasons ORDER BY rank").fetchall()
    assert shown == [(feature, place) for place, feature in enumerate(five, start=1)]
    explanation = explanations.explain(warehouse, "r")
    assert len(explanation.reasons) == len(ranked) and [reason.feature for reason in explanation.top] == five
    told = [line for line in explanations.lines(explanation) if line[0].isdigit()]
    assert [line.split(" ")[:2] for line in told] == [[f"{n}.", m.split("_")[0]] for n, m in enumerate(five, start=1)]


def test_what_cannot_be_explained_says_why(site: Settings, admin: psycopg.Connection) -> None:
    with pytest.raises(ModelError, match="there is no recommendation 'rec-0'"):
        explanations.explain(site, "rec-0")
    admin.execute(
        "INSERT INTO ml.recommendations (recommendation_id, equipment_id, timestamp, anomaly_score, severity,"
        " action_code, recommendation_text, confidence, model_version, shown_as)"
        " VALUES ('old', 'PUMP-1', %s, 0.9, 'critical', 'reduce_speed', 'x', 1, '1', 'old')",
        (NOON,),
    )
    with pytest.raises(ModelError, match="old can't be explained: the vector it was scored from isn't kept"):
        explanations.explain(site, "old")
    assert explanations.explain_new(site, NOON) == [], "left to the command, and no minute fails"


def _smaller(policy: Policy) -> Policy:
    return policy.model_copy(update={"max_normal_rows": 2000, "min_training_rows": 200})


def test_an_inspection_that_was_learnt_has_the_classifiers_reasons_however_unsure_it_is(
    with_past: Settings, build: Fill, policy: Policy, admin: psycopg.Connection
) -> None:
    admin.execute("UPDATE raw.cmms_failures SET failure_mode = 'sensor_drift' WHERE failure_mode = 'cooling_loss'")
    training.train(with_past, NOON, _smaller(policy), bootstrap=True)
    build(NOON, NOON + MINUTE, (Fault("PUMP-1", "temperature", NOON - MINUTE, NOON + MINUTE, 18.0),))
    scoring.score(with_past, NOON + MINUTE)
    admin.execute(
        "UPDATE ml.scores SET anomaly_score = 0.99, confidence = 0.4 WHERE action_code <> 'continue_operation'"
    )
    shown = publishing.publish(with_past, NOON + MINUTE, policy).shown
    assert explanations.explain_new(with_past, NOON + MINUTE) == shown
    told = admin.execute(
        "SELECT r.equipment_id, r.action_code, r.recommendation_text LIKE '%No precedent%',"
        " EXISTS (SELECT FROM ml.explanations AS x WHERE x.recommendation_id = r.recommendation_id"
        " AND x.channel = 'classifier') FROM ml.recommendations AS r"
    ).fetchall()
    assert told == [("PUMP-1", "preventive_inspection", False, True)]


def test_a_bundle_that_is_gone_keeps_nothing_else_from_being_explained(
    with_past: Settings, build: Fill, policy: Policy, admin: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    training.train(with_past, NOON, _smaller(policy), bootstrap=True)
    faults = tuple(Fault(machine, "vibration", NOON - MINUTE, NOON + MINUTE, 40.0) for machine in ("PUMP-1", "PUMP-2"))
    build(NOON, NOON + MINUTE, faults)
    scoring.score(with_past, NOON + MINUTE)
    shown = publishing.publish(with_past, NOON + MINUTE, policy).shown
    assert len(shown) == 2
    # The first, and one more, are of a version that nobody has any more.
    admin.execute(
        "UPDATE ml.recommendations SET model_version = '99', timestamp = timestamp - interval '1 s'"
        " WHERE recommendation_id = %s",
        (shown[0],),
    )
    admin.execute(
        'INSERT INTO ml.recommendations SELECT (jsonb_populate_record(r, \'{"recommendation_id": "rec-x"}\')).*'
        " FROM ml.recommendations AS r WHERE recommendation_id = %s",
        (shown[0],),
    )
    assert explanations.explain_new(with_past, NOON + MINUTE) == shown[1:]
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage().split(":")[0] for record in warned] == [
        "recommendations of version 99 stay unexplained"
    ], "once a version, not once a recommendation"
    with pytest.raises(RegistryError, match=r"version 99 .* can't be had"):
        explanations.explain(with_past, shown[0])
