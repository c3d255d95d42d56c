"""The loop once around, on real Postgres: train, score, publish, answer, learn, retrain, gate, promote, roll back."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from ml import registry, scoring
from ml.gates import decisions
from ml.learning import feedback, training
from ml.policy import Policy
from ml.recommending import publishing
from tests.integration.ml.conftest import NOON, Fault, Fill
from warehouse.roles import Role, connect
from warehouse.settings import Settings


def test_the_loop(with_past: Settings, build: Fill, admin: psycopg.Connection, policy: Policy) -> None:
    settings = with_past
    first = training.train(settings, NOON, policy, bootstrap=True)
    assert first.outcome == "trained"
    assert registry.aliases(settings)[registry.CHAMPION] == first.model_version
    assert first.positive_rows > 100

    # A first run takes the last hour; nothing is wrong in it.
    scored = scoring.score(settings, NOON)
    assert scored.windows == 180
    assert publishing.publish(settings, NOON, policy).shown == []

    # A bearing goes within minutes, where history saw it go within hours.
    fault = Fault("PUMP-2", "vibration", NOON, NOON + timedelta(minutes=6), 12.0)
    listener = connect(settings, Role.OPERATOR, autocommit=True)
    listener.execute("LISTEN equipment_recommendations")
    for minute in range(6):
        at = NOON + timedelta(minutes=minute)
        build(at, at + timedelta(minutes=1), (fault,))
        moment = at + timedelta(minutes=1, seconds=5)
        assert scoring.score(settings, moment).scored == 3
        publishing.publish(settings, moment, policy)
    rows = admin.execute(
        "SELECT equipment_id, action_code, severity, recommendation_text, timestamp, confidence, anomaly_score"
        " FROM serving.recommendations_serving"
    ).fetchall()
    assert [row[:2] for row in rows] == [("PUMP-2", "schedule_maintenance")]
    assert "Vibration" in rows[0][3] and "mm/s" in rows[0][3] and "σ above its normal" in rows[0][3]
    told = list(listener.notifies(timeout=2, stop_after=1))
    # What was only odd at first may have been told before it was known.
    assert told and all("PUMP-2" in note.payload for note in told)

    answer = (
        "INSERT INTO operator_feedback (feedback_id, equipment_id, recommendation_timestamp, action_code,"
        " anomaly_score, operator_action, operator_id, action_timestamp, operator_notes, shift, session_id,"
        " asked_genie)"
        " VALUES ('fb-1', 'PUMP-2', %s, 'schedule_maintenance', 0.9, 'executed', 'op', CURRENT_TIMESTAMP, '', 'day',"
        " 's', 'false')"
    )
    listener.execute(answer, (rows[0][4].isoformat(),))
    listener.close()
    later = admin.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index]
    assert feedback.sync(settings, later) == feedback.SyncResult(1, 1)
    assert feedback.sync(settings, later) == feedback.SyncResult(0, 0)
    assert admin.execute("SELECT label, action_code FROM ml.labels").fetchall() == [
        ("true_positive", "schedule_maintenance")
    ]
    assert admin.execute("SELECT was_correct FROM serving.operator_answers").fetchall() == [(True,)]

    # The retraining's candidate is compared on the same held-out time and becomes challenger.
    sunday = NOON + timedelta(minutes=10)
    second = training.train(settings, sunday, policy)
    assert second.champion_version == first.model_version != second.model_version
    decision = decisions.challenge(settings, second.training_id, sunday, policy)
    assert decision.outcome == "challenger", decision.reason
    assert registry.aliases(settings)[registry.CHALLENGER] == second.model_version
    compared = admin.execute(
        "SELECT DISTINCT model_version FROM ml.evaluations WHERE training_id = %s ORDER BY 1", (second.training_id,)
    ).fetchall()
    assert len(compared) == 2

    # It scores in shadow before it may decide anything.
    assert decisions.promote(settings, sunday, policy).outcome == "undecided"
    build(sunday, sunday + timedelta(hours=2))
    shadow = scoring.score(settings, sunday + timedelta(hours=2))
    assert set(shadow.versions) == {"champion", "challenger"}
    judged = decisions.promote(settings, sunday + timedelta(hours=2), policy)
    assert judged.outcome == "undecided" and "0 failures: evidence" in judged.reason
    decisions.promote(settings, sunday + timedelta(hours=2), policy, by="tester", reason="nothing fails here")
    assert registry.aliases(settings).versions == {"champion": second.model_version, "previous": first.model_version}

    back = decisions.rollback(settings, sunday + timedelta(hours=3), "tester", "it chatters")
    assert registry.aliases(settings).versions == {"champion": first.model_version}
    assert back.candidate_version == first.model_version
    kinds = admin.execute("SELECT gate, decision FROM ml.promotions WHERE criterion = 'decision' ORDER BY promotion_id")
    assert kinds.fetchall() == [
        ("first_model", "champion"), ("challenger", "challenger"), ("promote", "undecided"), ("promote", "undecided"),
        ("manual", "champion"),
        ("rollback", "previous"),
    ]  # fmt: skip
    assert decisions.history(settings)[0]["reason"] == "it chatters"
