"""From answers and what became of them to the one label that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import yaml

from ml import labels
from ml.features import micros
from ml.learning import feedback
from ml.learning.feedback import SyncResult, sync
from tests.integration.marts import training_set
from warehouse.roles import Role, connect
from warehouse.settings import Settings
from warehouse.transform import PROJECT

SHOWN = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = SHOWN + 30 * DAY


@pytest.fixture
def answer(warehouse: Settings) -> Iterator[Callable[..., None]]:
    """`answer('fb-1', 'rejected', after=…, by=…)` to PUMP-1's recommendation, or another's, that was shown at SHOWN."""
    with connect(warehouse, Role.SCORE, autocommit=True) as connection:

        def give(name: str, action: str, after: timedelta = HOUR, by: str = "kari", machine: str = "PUMP-1") -> None:
            connection.execute(
                "INSERT INTO serving.recommendations_serving (recommendation_id, equipment_id, timestamp,"
                " anomaly_score, severity, action_code, recommendation_text, confidence, model_version)"
                " VALUES (%s, %s, %s, 0.8, 'significant', 'check_blockage', 'x', 0.9, '1') ON CONFLICT DO NOTHING",
                (f"rec-{machine}", machine, SHOWN),
            )
            connection.execute(
                "INSERT INTO serving.operator_answers (feedback_id, recommendation_id, equipment_id,"
                " recommendation_timestamp, operator_action, operator_id, action_timestamp, created_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (name, f"rec-{machine}", machine, SHOWN, action, by, SHOWN + after, SHOWN + after),
            )

        yield give


@pytest.fixture
def cmms(warehouse: Settings) -> Iterator[Callable[..., None]]:
    """`cmms(failed=…)` or `cmms(opened=…, code=…)` loads a record of PUMP-1."""
    with connect(warehouse, Role.INGEST, autocommit=True) as connection:

        def load(
            failed: datetime | None = None, opened: datetime | None = None, code: str = "", kind: str = "corrective",
            known: datetime | None = None, name: str = "R", machine: str = "PUMP-1",
        ) -> None:  # fmt: skip
            if failed is not None:
                connection.execute(
                    "INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at,"
                    " available_at) VALUES (%s, %s, 'bearing', 'bearing_wear', %s, %s)"
                    " ON CONFLICT (failure_id) DO UPDATE SET failed_at = excluded.failed_at",
                    (name, machine, failed, known or failed),
                )
            if opened is not None:
                connection.execute(
                    "INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, problem_code, opened_at,"
                    " completed_at, available_at) VALUES (%s, %s, %s, nullif(%s, ''), %s, %s, %s)",
                    (name, machine, kind, code, opened, opened + HOUR, known or opened + HOUR),
                )

        yield load


Give = Callable[..., None]


def _verdict(admin: psycopg.Connection, at: datetime | None = None) -> tuple[Any, ...] | None:
    row = admin.execute(
        "SELECT label, source, judged_by FROM ml.verdicts_at(%s) WHERE equipment_id = 'PUMP-1'", (at or NOW,)
    )
    return row.fetchone()


def _correct(admin: psycopg.Connection) -> list[bool | None]:
    rows = admin.execute("SELECT was_correct FROM serving.operator_answers ORDER BY feedback_id")
    return [row[0] for row in rows]


def test_answers_become_labels_and_a_question_none(
    warehouse: Settings, admin: psycopg.Connection, answer: Give
) -> None:
    for number, action in enumerate(("executed", "rejected", "deferred", "ask_ai_why")):
        answer(f"fb-{number}", action, machine=f"M{number}")
    answer("fb-4", "rejected", -DAY, machine="M4")
    assert sync(warehouse, NOW) == SyncResult(5, 4)
    assert sync(warehouse, NOW) == SyncResult(0, 0)
    rows = admin.execute("SELECT label, action_code, judged_by, judged_at FROM ml.labels ORDER BY source_id")
    assert rows.fetchall() == [
        ("true_positive", "check_blockage", "kari", SHOWN + HOUR), ("false_positive", None, "kari", SHOWN + HOUR),
        ("undecided", None, "kari", SHOWN + HOUR),
        # An HMI's clock that is behind: nobody answers what isn't there yet.
        ("false_positive", None, "kari", SHOWN),
    ]  # fmt: skip
    assert _correct(admin) == [True, False, None, None, False]


def test_a_failure_after_a_rejection_was_a_true_positive(
    warehouse: Settings, admin: psycopg.Connection, answer: Give, cmms: Give
) -> None:
    answer("fb-1", "rejected")
    answer("fb-2", "ask_ai_why")
    sync(warehouse, SHOWN + DAY)
    assert _correct(admin) == [False, None]
    cmms(failed=SHOWN + 6 * DAY)
    assert sync(warehouse, SHOWN + 7 * DAY) == SyncResult(0, 0, 1)
    assert _verdict(admin) == ("true_positive", "cmms", "failure:R")
    assert _verdict(admin, SHOWN + 5 * DAY) == ("false_positive", "feedback", "kari"), "as of then"
    assert _correct(admin) == [True, None]
    assert sync(warehouse, SHOWN + 8 * DAY) == SyncResult(0, 0)
    assert admin.execute("SELECT count(*) FROM ml.labels").fetchone() == (2,), "both are kept"
    known = labels.judgments(admin, NOW)
    assert [(j.label, j.action, j.judged_at) for j in known] == [
        ("true_positive", "schedule_maintenance", micros(SHOWN + 6 * DAY))
    ]
    assert [j.label for j in labels.judgments(admin, SHOWN + 5 * DAY)] == ["false_positive"]


@pytest.mark.parametrize("failed", [SHOWN - HOUR, SHOWN + 7 * DAY])
def test_a_failure_before_it_or_a_week_later_says_nothing(
    warehouse: Settings, admin: psycopg.Connection, answer: Give, cmms: Give, failed: datetime
) -> None:
    answer("fb-1", "rejected")
    cmms(failed=failed)
    cmms(failed=SHOWN + DAY, machine="PUMP-2", name="other")
    assert sync(warehouse, NOW) == SyncResult(1, 1)
    assert _verdict(admin) == ("false_positive", "feedback", "kari")


def test_a_record_that_comes_weeks_late_still_counts_and_nothing_else_is_looked_at(
    warehouse: Settings, admin: psycopg.Connection, answer: Give, cmms: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        answer(f"fb-{number}", "rejected", machine=f"M{number}")
    answer("fb-own", "rejected")
    sync(warehouse, NOW)
    looked: list[int] = []
    outcomes = feedback._outcomes
    monkeypatch.setattr(
        feedback, "_outcomes", lambda *given: looked.append(len(given[1])) or outcomes(*given)
    )  # fmt: skip
    cmms(failed=SHOWN + DAY, known=NOW + DAY)
    sync(warehouse, NOW + HOUR)
    assert _verdict(admin, NOW + 2 * DAY) == ("false_positive", "feedback", "kari"), "the plant doesn't know yet"
    assert sync(warehouse, NOW + 2 * DAY).outcomes == 1
    assert _verdict(admin, NOW + 2 * DAY) == ("true_positive", "cmms", "failure:R")
    sync(warehouse, NOW + 3 * DAY)
    assert looked == [1, 1, 0]


def test_work_that_found_nothing_overrules_what_was_executed_until_it_fails(
    warehouse: Settings, admin: psycopg.Connection, answer: Give, cmms: Give
) -> None:
    answer("fb-1", "executed")
    cmms(opened=SHOWN + HOUR, code="No_Fault_Found", known=SHOWN + HOUR)
    assert sync(warehouse, SHOWN + 1.5 * HOUR) == SyncResult(1, 1, 0)
    assert sync(warehouse, SHOWN + DAY) == SyncResult(0, 0, 1), "by now somebody has looked, as the order said"
    assert _verdict(admin) == ("false_positive", "cmms", "work_order:R")
    assert _verdict(admin, SHOWN + 1.5 * HOUR) == ("true_positive", "feedback", "kari"), "nobody had looked yet"
    assert _verdict(admin, SHOWN + 2 * HOUR) == ("false_positive", "cmms", "work_order:R")
    assert _correct(admin) == [False]
    assert labels.events(admin, NOW) == [], "nor is it a fault to learn from"
    cmms(failed=SHOWN + 3 * DAY, name="F")
    assert sync(warehouse, SHOWN + 4 * DAY).outcomes == 1
    assert _verdict(admin) == ("true_positive", "cmms", "failure:F")
    assert _verdict(admin, SHOWN + 2 * DAY) == ("false_positive", "cmms", "work_order:R")
    assert _correct(admin) == [True]


def test_work_on_the_calendar_and_work_without_a_finding_say_what_they_say(
    warehouse: Settings, admin: psycopg.Connection, answer: Give, cmms: Give
) -> None:
    answer("fb-1", "executed")
    cmms(opened=SHOWN + HOUR, code="none", kind="preventive", name="calendar")
    cmms(opened=SHOWN + HOUR, kind="inspection", name="no code")
    assert sync(warehouse, NOW) == SyncResult(1, 1)
    answer("fb-2", "deferred", machine="PUMP-2")
    cmms(opened=SHOWN + DAY, code="belt_slip", machine="PUMP-2", name="found")
    assert sync(warehouse, NOW) == SyncResult(1, 1, 1)
    assert _correct(admin) == [True, True]


def test_of_conflicting_answers_the_last_decided_one_counts_and_all_are_kept(
    warehouse: Settings, admin: psycopg.Connection, answer: Give
) -> None:
    answer("fb-1", "executed", HOUR, "kari")
    answer("fb-2", "rejected", 2 * HOUR, "ola")
    answer("fb-3", "deferred", 3 * HOUR, "kari")
    assert sync(warehouse, NOW) == SyncResult(3, 3)
    assert _verdict(admin) == ("false_positive", "feedback", "ola")
    assert _correct(admin) == [False, False, False], "it says of the recommendation whether it was right"
    answer("fb-4", "executed", 4 * HOUR, "ola")
    sync(warehouse, NOW)
    assert _verdict(admin) == ("true_positive", "feedback", "ola")
    assert _correct(admin) == [True] * 4
    assert admin.execute("SELECT count(*) FROM ml.labels").fetchone() == (4,)


def test_what_the_cmms_takes_back_is_the_operators_again(
    warehouse: Settings, admin: psycopg.Connection, answer: Give, cmms: Give
) -> None:
    answer("fb-1", "rejected")
    cmms(failed=SHOWN + DAY)
    sync(warehouse, SHOWN + 2 * DAY)
    cmms(failed=SHOWN + 20 * DAY)  # the date was wrong
    assert sync(warehouse, NOW).outcomes == 1
    assert _verdict(admin) == ("false_positive", "feedback", "kari")
    assert _correct(admin) == [False]
    assert sync(warehouse, SHOWN + 3 * DAY).outcomes == 0, "an earlier moment brings nothing back"
    cmms(failed=SHOWN + DAY)
    assert sync(warehouse, NOW + DAY).outcomes == 1
    assert _verdict(admin, NOW + DAY) == ("true_positive", "cmms", "failure:R")
    assert _verdict(admin, NOW) == ("false_positive", "feedback", "kari"), "nobody knew before the date was mended"


def test_an_answer_after_the_outcome_is_overruled_as_well(
    warehouse: Settings, admin: psycopg.Connection, answer: Give, cmms: Give
) -> None:
    cmms(failed=SHOWN + DAY)
    sync(warehouse, SHOWN + 2 * DAY)
    answer("fb-1", "rejected", 3 * DAY)
    assert sync(warehouse, NOW) == SyncResult(1, 1, 1)
    assert _correct(admin) == [True]


def test_the_marts_ask_for_the_same_rule() -> None:
    """One place resolves: the view. The training set's answer is its row, and the codes are the same."""
    assert "ml.verdicts" in training_set() and "ml.labels" not in training_set()
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    assert variables["nothing_found"].split("|") == list(labels.NOTHING_FOUND)
