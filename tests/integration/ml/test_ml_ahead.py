"""What lies ahead, from the mart to a stored score: nothing of later than the split, no horizon without a past."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import psycopg
import pytest

from ml import labels, scoring
from ml.features import micros
from ml.labels import HOUR
from ml.learning import sampling, training
from ml.policy import Policy
from ml.recommending import explanations, publishing
from ml.scorecard import AHEAD, SHUTDOWN
from tests.integration.ml.conftest import FAULTS, NOON, START, Fill
from warehouse.roles import Role, connect
from warehouse.settings import Settings

AN_HOUR = timedelta(hours=1)


def test_rows_to_learn_from_know_nothing_of_the_held_out_time(with_past: Settings, policy: Policy) -> None:
    with connect(with_past, Role.SCORE) as connection:
        sample = sampling.draw(connection, NOON, policy)
    early, later, edges = sampling.split_ahead(sample, policy)
    border = sampling.split_at(sample, policy)
    assert edges.max() == 24, "four and a half days are no past to look a week ahead from"
    assert len(early) > 1000 and (early.windows.ends + 24 * HOUR <= border).all()
    assert (later.windows.ends > border).all()
    known = np.isfinite(early.hours)
    failed = {(fault.machine, micros(fault.until)) for fault in FAULTS}
    at = early.windows.ends[known] + np.rint(early.hours[known] * HOUR).astype(np.int64)
    assert set(zip(early.windows.equipment[known].tolist(), at.tolist(), strict=True)) <= failed
    near = (early.hours > policy.positive_hours) & (early.hours <= 24)
    assert near.sum() > 100, "rows that show nothing yet are among them"


def test_each_row_stands_for_the_minutes_that_it_was_thinned_from(with_past: Settings, policy: Policy) -> None:
    few = policy.model_copy(update={"max_normal_rows": 1500})
    with connect(with_past, Role.SCORE) as connection:
        whole, thinned = sampling.draw(connection, NOON, policy), sampling.draw(connection, NOON, few)
    assert whole.step == 1 and thinned.step > 1
    assert len(thinned.ahead) < len(whole.ahead) / 2
    assert thinned.ahead.weight.sum() == pytest.approx(whole.ahead.weight.sum(), rel=0.1)
    soon = [float(a.weight[a.hours <= 24].sum() / a.weight.sum()) for a in (whole.ahead, thinned.ahead)]
    assert soon[1] == pytest.approx(soon[0], rel=0.1), "the base rate is the plant's, not the sample's"


def test_an_emergency_shutdown_that_a_work_order_tells_of_is_learnt(
    with_past: Settings, admin: psycopg.Connection
) -> None:
    at = FAULTS[0].until
    admin.execute(
        "INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, action_taken, opened_at, available_at)"
        " VALUES ('W0', %s, 'corrective', 'Emergency stop, bearing replaced', %s, %s)",
        (FAULTS[0].machine, at, at + AN_HOUR),
    )
    admin.execute("UPDATE raw.cmms_failures SET work_order_id = 'W0' WHERE failure_id = 'F0'")
    found = {event.event_id: event.action for event in labels.events(admin, NOON)}
    assert (found["F0"], found["F1"], found["F2"]) == (SHUTDOWN, "reduce_speed", "schedule_maintenance")
    assert {event.action for event in labels.events(admin, at)} == set(), "nobody has written of it yet"


def test_scores_say_what_lies_ahead(with_past: Settings, admin: psycopg.Connection, policy: Policy) -> None:
    training.train(with_past, NOON, policy, bootstrap=True)
    scoring.replay(with_past, START + 60 * AN_HOUR, START + 68 * AN_HOUR, NOON)
    row = admin.execute(
        "SELECT count(*), count(failure_24h), count(failure_72h) + count(failure_7d),"
        " avg(failure_24h) FILTER (WHERE equipment_id = 'PUMP-3' AND window_end > %(last)s)"
        " > 2 * avg(failure_24h) FILTER (WHERE equipment_id <> 'PUMP-3'),"
        " count(*) FILTER (WHERE equipment_id = 'PUMP-3' AND window_end > %(last)s AND estimated_ttf IS NOT NULL) > 30,"
        " count(*) FILTER (WHERE NOT (ttf_low <= estimated_ttf AND estimated_ttf <= ttf_high))"
        " FROM ml.scores",
        {"last": START + 67 * AN_HOUR},
    ).fetchone()
    assert row == (3 * 8 * 60, 3 * 8 * 60, 0, True, True, 0)


def test_a_failure_that_history_alone_foretells_reaches_the_operator(
    with_past: Settings, build: Fill, admin: psycopg.Connection, policy: Policy
) -> None:
    """Errors come for a day before each failure, and no reading shows anything."""
    policy = policy.model_copy(update={"clear_days": 1.0})
    build(START, NOON)
    for fault in FAULTS:
        admin.execute(
            "UPDATE marts.gold_ml_features SET errors_24h = 4"
            " WHERE equipment_id = %s AND window_end > %s AND window_end <= %s",
            (fault.machine, fault.until - 24 * AN_HOUR, fault.until),
        )
    admin.execute("UPDATE marts.gold_ml_features SET errors_24h = 0 WHERE errors_24h IS NULL")
    training.train(with_past, NOON, policy, bootstrap=True)
    for minute in (1, 2):
        at = NOON + timedelta(minutes=minute)
        build(at - timedelta(minutes=1), at)
        admin.execute(
            "UPDATE marts.gold_ml_features SET errors_24h = CASE equipment_id WHEN 'PUMP-1' THEN 4 ELSE 0 END"
            " WHERE window_end = %s",
            (at,),
        )
        scoring.score(with_past, at)
        publishing.publish(with_past, at, policy)
    shown = admin.execute(
        "SELECT s.equipment_id, s.action_code, s.status, s.confidence >= 0.75, m.failure_24h >= 0.75"
        " FROM serving.recommendations_serving AS s INNER JOIN ml.recommendations AS r USING (recommendation_id)"
        " INNER JOIN ml.scores AS m USING (score_id)"
    ).fetchall()
    assert shown == [("PUMP-1", AHEAD, "pending", True, True)]
    text = admin.execute("SELECT recommendation_text FROM serving.recommendations_serving").fetchone()[0]  # type: ignore[index]
    assert text.startswith("No reading is far out, but earlier failures began like this: 4 errors in 24 h.")
    explanations.explain_new(with_past, NOON + timedelta(minutes=2))
    first = (
        "SELECT feature, value, normal_low, normal_high, direction FROM serving.recommendation_reasons WHERE rank = 1"
    )
    assert admin.execute(first).fetchall() == [("errors_24h", 4.0, 0.0, 0.0, "above")]
