"""What an operator's alarm budget holds back: the least of it, said once, and looked up by operators."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg

from ml.policy import Policy
from ml.recommending.publishing import publish
from tests.integration.ml.conftest import MACHINES, NOON, Scores, shown
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MINUTE = timedelta(minutes=1)


def test_what_the_budget_holds_back_is_said(site: Settings, score: Scores, admin: psycopg.Connection) -> None:
    rules = Policy(alarms_per_hour=1)
    listener = connect(site, Role.OPERATOR, autocommit=True)
    listener.execute("LISTEN equipment_recommendations")
    admin.execute(
        "INSERT INTO raw.sap_equipment (equipment_id, plant_id, model, commissioned_on, criticality, available_at)"
        " VALUES ('PUMP-3', 'P', 'X', '2020-01-01', 'A', '2020-01-01'),"
        " ('PUMP-1', 'P', 'X', '2020-01-01', 'B', '2020-01-01'),"
        " ('PUMP-2', 'P', 'X', '2020-01-01', 'C', '2020-01-01')"
    )
    for machine, value in zip(MACHINES, (0.75, 0.85, 0.72), strict=True):
        score(machine, NOON - MINUTE, value)
        score(machine, NOON, value)
    result = publish(site, NOON, rules)
    assert [row[0] for row in shown(admin)] == ["PUMP-3"], "the asset that matters most"
    text = admin.execute("SELECT recommendation_text FROM serving.recommendations_serving").fetchone()
    assert text is not None and text[0].endswith("2 more recommendations are held back by the alarm budget.")
    held = admin.execute(
        "SELECT equipment_id, held_reason FROM ml.recommendations WHERE held_reason LIKE 'alarm budget%' ORDER BY 2"
    ).fetchall()
    assert [row[0] for row in held] == ["PUMP-1", "PUMP-2"]
    assert held[0][1] == "alarm budget: 1 shown within the hour, 1 allowed; number 1 of 2 held back"
    metric = "SELECT value FROM ops.pipeline_metrics WHERE metric = 'held_back'"
    assert admin.execute(metric).fetchall() == [(2.0,)] and result.held["alarm budget"] == 2
    told = [json.loads(note.payload) for note in listener.notifies(timeout=2, stop_after=2)]
    assert [note["kind"] for note in told] == ["recommendation", "held_back"]
    assert told[1]["held"] == 2 and {"equipment_id", "timestamp", "severity", "action_code"} <= told[1].keys()
    score("PUMP-1", NOON + MINUTE, 0.75)
    publish(site, NOON + MINUTE, rules)
    assert list(listener.notifies(timeout=0.2)) == [], "it is said once"
    # Critical is always shown, and two operators may be told twice as much.
    score("PUMP-2", NOON + MINUTE, 0.92)
    assert len(publish(site, NOON + MINUTE, rules).shown) == 1
    score("PUMP-1", NOON + 2 * MINUTE, 0.75)
    assert len(publish(site, NOON + 2 * MINUTE, Policy(alarms_per_hour=1, operators=3)).shown) == 1
    listener.close()


def test_what_is_held_back_can_be_looked_up(site: Settings, admin: psycopg.Connection) -> None:
    now = admin.execute("SELECT date_trunc('minute', clock_timestamp())").fetchone()[0]  # type: ignore[index]
    insert = (
        "INSERT INTO ml.recommendations (recommendation_id, equipment_id, timestamp, anomaly_score, severity,"
        " action_code, recommendation_text, confidence, model_version, cause, held_reason, shown_as)"
        " VALUES (%s, %s, %s, 0.8, 'significant', 'check_blockage', 'x', 0.9, '1', 'check_blockage/power', %s, %s)"
    )
    for name, machine, minutes, reason, shown_as in (
        ("a", "PUMP-1", 3, "alarm budget: 6 shown", None),
        ("b", "PUMP-1", 2, "alarm budget: 6 shown; number 1 of 2 held back", None),
        ("c", "PUMP-2", 2, "alarm budget: 6 shown", None),
        ("d", "PUMP-2", 1, None, "d"),
        ("e", "PUMP-3", 20, "alarm budget: 6 shown", None),
    ):
        admin.execute(insert, (name, machine, now - minutes * MINUTE, reason, shown_as))
    with connect(site, Role.OPERATOR) as operator:
        found = operator.execute(
            "SELECT plant_id, equipment_id, held_reason FROM serving.recommendations_held"
        ).fetchall()
    assert found == [("P", "PUMP-1", "alarm budget: 6 shown; number 1 of 2 held back")]


def test_the_alarm_budget_goes_to_the_worst(site: Settings, score: Scores, admin: psycopg.Connection) -> None:
    rules = Policy(alarms_per_hour=2)
    for machine, value in zip(MACHINES, (0.75, 0.8, 0.92), strict=True):
        score(machine, NOON - MINUTE, value)
        score(machine, NOON, value)
    result = publish(site, NOON, rules)
    assert [row[0] for row in shown(admin)] == ["PUMP-2", "PUMP-3"]
    assert result.held == {"not confirmed": 3, "alarm budget": 1}
    score("PUMP-1", NOON + 61 * MINUTE, 0.75)
    score("PUMP-1", NOON + 62 * MINUTE, 0.75)
    assert len(publish(site, NOON + 62 * MINUTE, rules).shown) == 1, "an hour later there is room again"
