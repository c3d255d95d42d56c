"""The contract with HMIs: three queries verbatim, answers that take effect at once, and notifications."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from warehouse.migrate import migrate
from warehouse.roles import Role, connect
from warehouse.settings import HOME, Settings

AT = datetime(2026, 6, 15, 10, 30, 0, 123000, tzinfo=UTC)

# As an HMI has them in its scripts. The parameters are the HMI's, named.
PENDING = """
SELECT equipment_id, timestamp, anomaly_score, severity, action_code, recommendation_text, confidence,
       estimated_ttf, temp_avg_5min, vibration_avg_5min, throughput_avg_5min
FROM recommendations_serving
WHERE equipment_id = :equipment_id AND status = 'pending' ORDER BY anomaly_score DESC LIMIT 1;
"""
DASHBOARD = "SELECT * FROM hmi_dashboard WHERE equipment_id = :equipment_id;"
ANSWER = """
INSERT INTO operator_feedback (feedback_id, equipment_id, recommendation_timestamp, action_code, anomaly_score,
  operator_action, operator_id, action_timestamp, operator_notes, shift, session_id, asked_genie)
VALUES (:feedback_id, :equipment_id, :recommendation_timestamp, :action_code, :anomaly_score, :operator_action,
  :operator_id, CURRENT_TIMESTAMP, :operator_notes, :shift, :session_id, :asked_genie);
"""
TYPES = {
    "feedback_id": "text", "equipment_id": "text", "recommendation_timestamp": "timestamptz", "action_code": "text",
    "anomaly_score": "float8", "operator_action": "text", "operator_id": "text", "operator_notes": "text",
    "shift": "text", "session_id": "text", "asked_genie": "boolean",
}  # fmt: skip


def test_integrators_find_the_queries_in_the_documentation() -> None:
    told = " ".join((HOME / "docs" / "operations.md").read_text().split())
    for query in (PENDING, DASHBOARD, ANSWER):
        assert " ".join(query.split()) in told


def run(connection: psycopg.Connection, query: str, types: dict[str, str] | None, **given: Any) -> psycopg.Cursor:
    """Run an HMI's query with its parameters declared as `types`, or every one as varchar, as PREPARE does."""
    names = list(dict.fromkeys(re.findall(r"(?<!:):(\w+)", query)))
    declared = [types[name] if types else "varchar" for name in names]
    for number, name in enumerate(names, 1):
        query = re.sub(rf":{name}\b", f"${number}", query)
    connection.execute("DEALLOCATE ALL")
    connection.execute(f"PREPARE hmi ({', '.join(declared)}) AS {query}")
    values = [given[name] if types or given[name] is None else str(given[name]) for name in names]
    return connection.execute(sql.SQL("EXECUTE hmi ({})").format(sql.SQL(", ").join(map(sql.Literal, values))))


@pytest.fixture
def operator(warehouse: Settings, admin: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The operator's connection, to a plant of two machines of which PUMP-1 has two pending recommendations."""
    admin.execute("INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('mine', 'Mine', 'UTC')")
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) "
        "VALUES ('PUMP-1', 'mine', 'Pump', 'pump'), ('PUMP-2', 'mine', 'Other pump', 'pump')"
    )
    with connect(warehouse, Role.SCORE, autocommit=True) as score:
        for number, anomaly_score in enumerate((0.75, 0.95)):
            recommend(score, f"r{number}", timestamp=AT + timedelta(minutes=number), anomaly_score=anomaly_score)
    with connect(warehouse, Role.OPERATOR, autocommit=True) as connection:
        yield connection


def recommend(score: psycopg.Connection, recommendation_id: str, **changes: Any) -> None:
    row = {
        "recommendation_id": recommendation_id, "equipment_id": "PUMP-1", "timestamp": AT, "anomaly_score": 0.8,
        "severity": "significant", "action_code": "reduce_speed", "recommendation_text": "Reduce speed to 60 %",
        "confidence": 0.9, "model_version": "1", **changes,
    }  # fmt: skip
    score.execute(
        sql.SQL("INSERT INTO serving.recommendations_serving ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
        ),
        row,
    )


def answer(connection: psycopg.Connection, types: dict[str, str] | None = None, **changes: Any) -> None:
    given = {
        "feedback_id": "f1", "equipment_id": "PUMP-1", "recommendation_timestamp": AT, "action_code": "reduce_speed",
        "anomaly_score": 0.75, "operator_action": "executed", "operator_id": "op-7", "operator_notes": "låger byttet",
        "shift": "night", "session_id": "s1", "asked_genie": False, **changes,
    }  # fmt: skip
    run(connection, ANSWER, types, **given)


def status(admin: psycopg.Connection, recommendation_id: str = "r0") -> str:
    row = admin.execute(
        "SELECT status FROM serving.recommendations_serving WHERE recommendation_id = %s", (recommendation_id,)
    ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("types", [None, TYPES], ids=["every parameter varchar", "native types"])
def test_the_three_queries_run_as_they_stand(
    operator: psycopg.Connection, admin: psycopg.Connection, types: dict[str, str] | None
) -> None:
    worst = run(operator, PENDING, types, equipment_id="PUMP-1").fetchall()
    assert len(worst) == 1 and worst[0][:3] == ("PUMP-1", AT + timedelta(minutes=1), 0.95)
    assert len(run(operator, DASHBOARD, types, equipment_id="PUMP-1").fetchall()) == 1

    answer(operator, types, recommendation_timestamp=worst[0][1])
    assert status(admin, "r1") == "executed"
    assert run(operator, PENDING, types, equipment_id="PUMP-1").fetchall()[0][2] == 0.75
    stored = admin.execute(
        "SELECT recommendation_id, anomaly_score, asked_genie, operator_notes, was_correct, "
        "created_at - action_timestamp < interval '1 minute' FROM serving.operator_answers"
    ).fetchall()
    assert stored == [("r1", 0.75, False, "låger byttet", None, True)]


@pytest.mark.parametrize(
    ("operator_action", "expected"),
    [("executed", "executed"), ("deferred", "deferred"), ("rejected", "rejected"), ("ask_ai_why", "pending")],
)
def test_an_answer_sets_the_status_at_once(
    operator: psycopg.Connection, admin: psycopg.Connection, operator_action: str, expected: str
) -> None:
    answer(operator, operator_action=operator_action)
    assert (status(admin, "r0"), status(admin, "r1")) == (expected, "pending")


def test_a_deferral_ends_after_the_time_that_the_settings_say(
    warehouse: Settings, operator: psycopg.Connection, admin: psycopg.Connection
) -> None:
    migrate(warehouse.model_copy(update={"deferral_minutes": 45}))
    answer(operator, operator_action="deferred")
    # Answered by a panel whose clock is a year ahead.
    operator.execute(
        "INSERT INTO operator_feedback (feedback_id, equipment_id, recommendation_timestamp, operator_action, "
        "action_timestamp) VALUES ('f2', 'PUMP-1', %s, 'deferred', now() + interval '1 year')",
        (AT + timedelta(minutes=1),),
    )
    left = admin.execute(
        "SELECT extract(EPOCH FROM deferred_until - clock_timestamp()) FROM serving.recommendations_serving"
    ).fetchall()
    assert all(44 * 60 < seconds <= 45 * 60 for (seconds,) in left) and len(left) == 2


@pytest.mark.parametrize(
    "given",
    ["2026-06-15T10:30:00.123Z", "2026-06-15 12:30:00.123+02", str(int(AT.timestamp() * 1000))],
    ids=["ISO", "offset", "milliseconds"],
)  # fmt: skip
def test_a_timestamp_is_understood_as_hmis_write_it(
    operator: psycopg.Connection, admin: psycopg.Connection, given: str
) -> None:
    answer(operator, recommendation_timestamp=given)
    assert status(admin) == "executed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recommendation_timestamp": "gestern"}, "recommendation_timestamp is not a timestamp: got 'gestern', allowed is"),  # noqa: E501
        ({"recommendation_timestamp": "2026-13-01"}, "recommendation_timestamp is not a timestamp: got '2026-13-01'"),
        ({"recommendation_timestamp": "infinity"}, "recommendation_timestamp is not a timestamp: got 'infinity'"),
        ({"recommendation_timestamp": "2026-06-15 10:30 Mars/Base"}, "recommendation_timestamp is not a timestamp"),
        ({"recommendation_timestamp": ""}, "no recommendation for equipment 'PUMP-1' at ''"),
        ({"recommendation_timestamp": AT + timedelta(hours=1)}, "no recommendation for equipment 'PUMP-1' at '2026"),
        ({"equipment_id": "PUMP-9"}, "no recommendation for equipment 'PUMP-9' at"),
        ({"equipment_id": None}, "no recommendation for equipment NULL at"),
        ({"anomaly_score": "hoch"}, "anomaly_score is not a number: got 'hoch'"),
        ({"anomaly_score": "1e999"}, "anomaly_score is not a number: got '1e999'"),
        ({"anomaly_score": "NaN"}, "anomaly_score is not a number: got 'NaN'"),
        ({"asked_genie": "vielleicht"}, "asked_genie is not a boolean: got 'vielleicht'"),
        ({"operator_action": "done"}, "operator_action must be one of executed, deferred, rejected, ask_ai_why. Got: 'done'"),  # noqa: E501
        ({"operator_action": None}, "operator_action must be one of executed, deferred, rejected, ask_ai_why. Got: NULL"),  # noqa: E501
        ({"action_code": "reduce speed"}, "action_code must be one of reduce_speed, schedule_maintenance, check_blockage, emergency_shutdown, preventive_inspection, continue_operation, or none. Got: 'reduce speed'"),  # noqa: E501
        ({"feedback_id": ""}, "feedback_id is empty"),
        ({"feedback_id": None}, "feedback_id is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_one_clear_message(
    operator: psycopg.Connection, admin: psycopg.Connection, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        answer(operator, **changes)
    assert str(caught.value.diag.message_primary).startswith(message)
    assert admin.execute("SELECT count(*) FROM serving.operator_answers").fetchone() == (0,)
    assert status(admin) == "pending"


@pytest.mark.parametrize("given", ["", None])
def test_an_answer_needs_no_action_of_its_own(
    operator: psycopg.Connection, admin: psycopg.Connection, given: str | None
) -> None:
    answer(operator, action_code=given)
    assert admin.execute("SELECT action_code FROM serving.operator_answers").fetchone() == (None,)


def test_an_answer_sent_twice_is_taken_once(operator: psycopg.Connection, admin: psycopg.Connection) -> None:
    answer(operator)
    answer(operator)
    assert admin.execute("SELECT count(*) FROM serving.operator_answers").fetchone() == (1,)
    with pytest.raises(errors.UniqueViolation, match="feedback_id 'f1' was used for another answer"):
        answer(operator, operator_action="rejected")
    assert status(admin) == "executed"


@pytest.fixture
def much_history(admin: psycopg.Connection) -> None:
    """Twenty thousand recommendations of a thousand machines."""
    admin.execute(
        "INSERT INTO serving.recommendations_serving (recommendation_id, equipment_id, timestamp, anomaly_score, severity, "  # noqa: E501
        "action_code, recommendation_text, confidence, model_version, status) SELECT 'h' || n, 'E' || n % 1000, "
        "now() - n * interval '1 min', 0.8, 'significant', 'reduce_speed', 'x', 0.9, '1', "
        "CASE WHEN n %% 10 = 0 THEN 'pending' ELSE 'executed' END FROM generate_series(1, 20000) n".replace("%%", "%")
    )
    admin.execute("ANALYZE serving.recommendations_serving")


@pytest.mark.usefixtures("much_history")
def test_the_pending_query_reads_its_index(operator: psycopg.Connection) -> None:
    plan = plan_of(operator, PENDING)
    assert "Index Scan using recommendations_pending" in plan and "Sort" not in plan


def test_the_dashboard_query_reads_its_own_machine_alone(
    operator: psycopg.Connection, admin: psycopg.Connection
) -> None:
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type)"
        " SELECT 'E' || n, 'mine', 'Machine ' || n, 'pump' FROM generate_series(1, 1000) AS n"
    )
    admin.execute(
        "WITH tag AS (INSERT INTO raw.tags (server, node_id, equipment_id, measurement, data_type)"
        " SELECT 's', n::text, 'E' || n, 'temperature', 'double' FROM generate_series(1, 1000) AS n RETURNING tag_id)"
        " INSERT INTO raw.tag_latest (tag_id, source_ts, value, status)"
        " SELECT tag_id, clock_timestamp(), 50, 0 FROM tag"
    )
    admin.execute(
        "INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code, confidence,"
        " moment) SELECT 'E' || n, now() - m * interval '1 min', '1', 'champion', 0.1, 'continue_operation', 0.9, now()"
        " FROM generate_series(1, 1000) AS n CROSS JOIN generate_series(1, 5) AS m"
    )
    for table in ("raw.equipment", "raw.tags", "raw.tag_latest", "ml.scores"):
        admin.execute(f"ANALYZE {table}")
    plan = plan_of(operator, DASHBOARD)
    assert "tags_current_meaning" in plan and "Seq Scan on tag" not in plan, plan
    assert "Index Scan using scores_equipment on scores" in plan and "Sort" not in plan, plan


@pytest.mark.usefixtures("much_history")
def test_reasons_are_looked_up_for_one_recommendation(operator: psycopg.Connection) -> None:
    query = "SELECT * FROM recommendation_reasons WHERE equipment_id = :equipment_id AND timestamp = now()"
    plan = plan_of(operator, query)
    assert "recommendations_serving_equipment_id_timestamp_key" in plan and "Seq Scan on recommendations" not in plan


def plan_of(operator: psycopg.Connection, query: str) -> str:
    """The plan that a prepared query of one machine settles on."""
    operator.execute("SET plan_cache_mode = force_generic_plan")
    operator.execute(f"PREPARE hmi (varchar) AS {query.strip().rstrip(';').replace(':equipment_id', '$1')}")
    return "\n".join(line for (line,) in operator.execute("EXPLAIN EXECUTE hmi ('E20')"))


def notifications(connection: psycopg.Connection, count: int) -> list[dict[str, Any]]:
    received = list(connection.notifies(timeout=5, stop_after=count))
    assert all(len(note.payload.encode()) < 8000 for note in received)
    # Nothing more than was asked for.
    received += list(connection.notifies(timeout=0.2))
    return [json.loads(note.payload) for note in received]


def test_a_pending_recommendation_is_announced_whatever_its_text(
    warehouse: Settings, operator: psycopg.Connection
) -> None:
    operator.execute("LISTEN equipment_recommendations")
    with connect(warehouse, Role.SCORE, autocommit=True) as score:
        recommend(score, "history", timestamp=AT + timedelta(hours=1), status="executed")
        recommend(score, "plain", timestamp=AT + timedelta(hours=2))
        recommend(score, "long", timestamp=AT + timedelta(hours=3), recommendation_text="🔥\n" * 3000)
    plain, long = notifications(operator, 2)
    assert {"equipment_id", "timestamp", "severity", "action_code", "recommendation_text"} <= plain.keys()
    assert (plain["kind"], plain["recommendation_id"], plain["equipment_id"]) == ("recommendation", "plain", "PUMP-1")
    assert datetime.fromisoformat(plain["timestamp"]) == AT + timedelta(hours=2)
    assert long["recommendation_text"].startswith("🔥\n🔥")


def test_a_deferred_recommendation_is_announced_when_it_returns(
    warehouse: Settings, operator: psycopg.Connection
) -> None:
    answer(operator, operator_action="deferred")
    operator.execute("LISTEN equipment_recommendations")
    with connect(warehouse, Role.SCORE, autocommit=True) as score:
        score.execute("UPDATE serving.recommendations_serving SET status = 'pending', deferred_until = NULL")
    (note,) = notifications(operator, 1)
    assert (note["recommendation_id"], note["returned"]) == ("r0", True)


@pytest.fixture
def alert_id(warehouse: Settings, operator: psycopg.Connection) -> int:
    with connect(warehouse, Role.INGEST, autocommit=True) as ingest:
        row = ingest.execute(
            "INSERT INTO serving.critical_alerts (equipment_id, tag_id, measurement, timestamp, severity, direction, "
            "value, limit_value, action_code, recommendation_text) VALUES ('PUMP-1', 1, 'temperature', %s, 'critical', "
            "'high', 99, 90, 'reduce_speed', 'Too hot') RETURNING alert_id",
            (AT,),
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_every_alert_transition_is_announced(warehouse: Settings, operator: psycopg.Connection, alert_id: int) -> None:
    operator.execute("LISTEN equipment_recommendations")
    operator.execute("SELECT acknowledge_alert(%s::bigint, 'op-7')", (alert_id,))
    # As an HMI that knows only strings.
    operator.execute("SELECT shelve_alert(%s::varchar, 'op-7'::varchar, '2999-01-01'::varchar)", (str(alert_id),))
    with connect(warehouse, Role.INGEST, autocommit=True) as ingest:
        ingest.execute("UPDATE serving.critical_alerts SET value = 98")  # no transition
        ingest.execute("UPDATE serving.critical_alerts SET state = 'cleared', cleared_at = now()")
    notes = notifications(operator, 3)
    assert [note["state"] for note in notes] == ["acknowledged", "shelved", "cleared"]
    assert {"equipment_id", "timestamp", "severity", "action_code", "recommendation_text"} <= notes[0].keys()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("acknowledge_alert(999, 'op')", "no open alert 999"),
        ("acknowledge_alert({id}, '')", "operator_id is empty"),
        ("acknowledge_alert('x1', 'op')", "alert_id is not a whole number: got 'x1'"),
        ("shelve_alert({id}, 'op', now() - interval '1 h')", "until must lie in the future"),
        ("shelve_alert({id}, 'op', 'infinity')", "until must lie in the future"),
        ("shelve_alert('{id}', 'op', 'morgen')", "until is not a timestamp: got 'morgen'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    operator: psycopg.Connection, admin: psycopg.Connection, alert_id: int, call: str, message: str
) -> None:
    with pytest.raises(psycopg.Error, match=re.escape(message)):
        operator.execute("SELECT " + call.format(id=alert_id))
    assert admin.execute("SELECT state FROM serving.critical_alerts").fetchone() == ("active",)


def test_a_cleared_alert_cannot_be_acknowledged(
    operator: psycopg.Connection, admin: psycopg.Connection, alert_id: int
) -> None:
    admin.execute("UPDATE serving.critical_alerts SET state = 'cleared'")
    with pytest.raises(errors.NoDataFound):
        operator.execute("SELECT acknowledge_alert(%s::bigint, 'op')", (alert_id,))


def test_the_dashboard_has_one_row_a_machine_of_good_values(
    warehouse: Settings, operator: psycopg.Connection, admin: psycopg.Connection, alert_id: int
) -> None:
    rows = [
        ("temperature", "a", "measurement", 40.0, None, 0),
        ("temperature", "b", "measurement", 60.0, None, 0),
        ("temperature", "c", "measurement", float("nan"), None, 0),
        ("temperature", "d", "measurement", 999.0, None, 0x80000000),
        ("vibration", "", "measurement", 3.5, None, 0x480),  # overflow is an info bit of a good status
        ("run_state", "", "state", 1.0, None, 0),
    ]
    for measurement, position, role, value, text, code in rows:
        admin.execute(
            "WITH tag AS (INSERT INTO raw.tags (server, node_id, equipment_id, measurement, position, role, data_type, states) "  # noqa: E501
            "VALUES ('s', %s, 'PUMP-1', %s, %s, %s, 'double', '{\"1\": \"running\"}') RETURNING tag_id) "
            "INSERT INTO raw.tag_latest (tag_id, source_ts, value, value_text, status) "
            "SELECT tag_id, clock_timestamp() - interval '7 s', %s, %s, %s FROM tag",
            (measurement + position, measurement, position, role, value, text, code),
        )
    operator.row_factory = psycopg.rows.dict_row  # type: ignore[assignment]
    everything: list[Any] = operator.execute("SELECT * FROM hmi_dashboard ORDER BY equipment_id").fetchall()
    assert [row["equipment_id"] for row in everything] == ["PUMP-1", "PUMP-2"]
    pump, silent = everything
    assert (pump["temperature"], pump["vibration"], pump["bad_tags"], pump["run_state"]) == (50.0, 3.5, 2, "running")
    assert 7 <= pump["data_age_s"] < 60
    assert (pump["open_alerts"], pump["worst_alert"], pump["recommendation_id"]) == (1, "critical", "r1")
    assert (silent["data_age_s"], silent["open_alerts"], silent["recommendation_id"]) == (None, 0, None)
