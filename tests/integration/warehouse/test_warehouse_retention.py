"""Rows go when their retention has passed, and only those that nothing needs any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from warehouse import retention
from warehouse.maintenance import maintain
from warehouse.retention import KEPT_FOR, Rows, keep_rows
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MOMENT = datetime(2026, 6, 15, 10, 30, tzinfo=UTC)


def before(days: int) -> datetime:
    return MOMENT - timedelta(days=days)


def count(admin: psycopg.Connection, table: str) -> int:
    row = admin.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("rows", KEPT_FOR, ids=lambda rows: rows.table)
def test_every_rule_names_what_is_there(rows: Rows, warehouse: Settings, admin: psycopg.Connection) -> None:
    assert getattr(warehouse, rows.days) >= 1
    query = f"SELECT {rows.clock}::timestamptz FROM {rows.table} WHERE {rows.condition}"
    assert admin.execute(query.encode()).fetchall() == []


def test_rows_within_their_days_stay(
    warehouse: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for days in (88, 89, 91, 92, 93):
        admin.execute(
            "INSERT INTO ops.pipeline_metrics (measured_at, stage, metric, value) VALUES (%s, 's', 'm', 1)",
            (before(days),),
        )
        admin.execute(
            "INSERT INTO raw.rejected_events (payload, reason, origin, rejected_at)"
            " VALUES (%s, 'text in a number', 'backfill', %s)",
            (str(days), before(days)),
        )
    gone = {table: n for table, n in maintain(warehouse, MOMENT).deleted.items() if n}
    assert gone == {"raw.rejected_events": 3, "ops.pipeline_metrics": 3}
    assert not any(keep_rows(warehouse, MOMENT).values())


def test_answers_outlive_the_recommendations_that_they_are_about(
    warehouse: Settings, admin: psycopg.Connection
) -> None:
    for name, days in (("old", 181), ("young", 179)):
        admin.execute(
            "INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code,"
            " confidence, moment) VALUES ('P', %(at)s, '1', 'champion', 0.9, 'reduce_speed', 0.9, %(at)s)",
            {"at": before(days)},
        )
        for table in ("ml.recommendations", "serving.recommendations_serving"):
            clock = "created_at" if table.startswith("ml") else "published_at"
            admin.execute(
                f"INSERT INTO {table} (recommendation_id, equipment_id, timestamp, anomaly_score, severity,"
                f" action_code, recommendation_text, confidence, model_version, {clock})"
                " VALUES (%(name)s, 'P', %(at)s, 0.9, 'critical', 'reduce_speed', 't', 0.9, '1', %(at)s)".encode(),
                {"name": name, "at": before(days)},
            )
        with connect(warehouse, Role.OPERATOR) as hmi:
            hmi.execute(
                "INSERT INTO operator_feedback (feedback_id, equipment_id, recommendation_timestamp, operator_action)"
                " VALUES (%s, 'P', %s, 'executed')", (name, str(before(days)))
            )  # fmt: skip
    keep_rows(warehouse, MOMENT)
    for table in ("ml.scores", "ml.recommendations", "serving.recommendations_serving"):
        assert count(admin, table) == 1
    assert count(admin, "serving.operator_answers") == 2


def test_what_a_champion_learnt_stays_and_what_a_refused_candidate_did_goes(
    warehouse: Settings, admin: psycopg.Connection
) -> None:
    for version, decision in (("1", "champion"), ("2", "refused"), ("3", None)):
        admin.execute(
            "INSERT INTO ml.reference (model_version, equipment_id, feature, row_count, day_count, missing_share,"
            " missing_spread, spread, quantiles, edges, shares, kept_at)"
            " VALUES (%s, '', 'load_ratio', 1, 1, 0, 0, 1, '{}', '{}', '{}', %s)",
            (version, before(200)),
        )
        if decision is not None:
            admin.execute(
                "INSERT INTO ml.promotions (moment, gate, candidate_version, criterion, passed, decision, reason)"
                " VALUES (%s, 'challenger', %s, 'decision', %s, %s, 'x')",
                (before(200), version, decision == "champion", decision),
            )
    assert keep_rows(warehouse, MOMENT)["ml.reference"] == 2
    assert admin.execute("SELECT model_version FROM ml.reference").fetchall() == [("1",)]


def test_what_a_row_was_stays_until_the_transform_has_seen_the_change(
    warehouse: Settings, admin: psycopg.Connection
) -> None:
    admin.execute(
        "INSERT INTO raw.sap_plants (plant_id, name, country, available_at) VALUES ('a', 'A', 'NO', %s)", (before(50),)
    )
    admin.execute("UPDATE raw.sap_plants SET name = 'B'")
    admin.execute("UPDATE raw.former_rows SET changed_at = %s", (before(50),))
    assert count(admin, "raw.former_rows") == 1
    assert keep_rows(warehouse, MOMENT)["raw.former_rows"] == 0
    admin.execute(
        "INSERT INTO ops.watermarks (pipeline, snapshot, system_identifier, moment)"
        " SELECT 'transform', pg_current_snapshot(), system_identifier, %s FROM pg_control_system()", (MOMENT,)
    )  # fmt: skip
    assert keep_rows(warehouse, MOMENT)["raw.former_rows"] == 1
