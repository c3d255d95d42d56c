"""When a training is refused, when a gate is, and what the past brings along."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from ml import registry
from ml.errors import HistoryFileError, ModelError
from ml.gates import decisions
from ml.learning import feedback, history, training
from ml.policy import Policy
from tests.integration.ml.conftest import NOON, START, Fill
from tests.integration.ml.shadowing import decided, in_memory
from warehouse.roles import Role, connect
from warehouse.settings import Settings

DAY = timedelta(days=1)
RECOMMENDATIONS = ",".join(history.RECOMMENDATION)
ANSWERS = ",".join(history.ANSWER)
SHOWN = "R1,PUMP-1,2026-03-08T10:00:00Z,0.8,significant,schedule_maintenance,Check it,0.8,5,61.5,7.4,,executed,rules"
GIVEN = "A1,R1,PUMP-1,2026-03-08T10:00:00Z,schedule_maintenance,0.8,executed,op-1,2026-03-08T10:05:00Z,,day,s1,false"


def test_no_rows_at_all_is_a_clear_error(site: Settings, policy: Policy) -> None:
    with pytest.raises(ModelError, match="has no rows"):
        training.train(site, NOON, policy)


def test_a_training_whose_time_is_over_leaves_its_row(
    warehouse: Settings, admin: psycopg.Connection, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TaskTimeout(BaseException):
        """As Airflow's is."""

    def ended(*_given: object) -> None:
        raise TaskTimeout("Timeout, PID: 1")

    monkeypatch.setattr("ml.learning.sampling.pinned", ended)
    with pytest.raises(TaskTimeout):
        training.train(warehouse, NOON, policy)
    runs = admin.execute("SELECT outcome, reason FROM ml.training_runs").fetchall()
    assert runs == [("failed", "TaskTimeout: Timeout, PID: 1")]


def test_one_class_only_is_refused_with_the_reason(
    site: Settings, build: Fill, admin: psycopg.Connection, policy: Policy
) -> None:
    build(START, START + DAY)
    result = training.train(site, START + DAY, policy)
    assert (result.outcome, result.model_version) == ("refused", None)
    assert "one class only" in result.reason
    decision = decisions.challenge(site, result.training_id, START + DAY, policy)
    assert decision.outcome == "refused" and "one class only" in decision.reason
    rows = admin.execute("SELECT criterion, passed FROM ml.promotions ORDER BY promotion_id").fetchall()
    assert rows == [("training_rows", True), ("positive_rows", False), ("decision", False)]


def test_too_few_rows_are_refused(site: Settings, build: Fill, policy: Policy) -> None:
    build(START, START + timedelta(hours=3))
    result = training.train(site, START + timedelta(hours=3), policy)
    assert result.outcome == "refused" and "fewer than 1,000" in result.reason


def test_what_was_not_known_yet_is_not_learnt(with_past: Settings, policy: Policy) -> None:
    moment = START + timedelta(hours=27)
    result = training.train(with_past, moment, policy)
    assert result.outcome == "refused" and result.positive_rows == 0, "the first failure is an hour ahead"


def test_a_worse_candidate_is_refused_in_figures(
    with_past: Settings, admin: psycopg.Connection, policy: Policy
) -> None:
    first = training.train(with_past, NOON, policy, bootstrap=True)
    second = training.train(with_past, NOON, policy)
    admin.execute(
        "UPDATE ml.evaluations SET value = 0.01 WHERE model_version = %s AND metric = 'recall'", (second.model_version,)
    )
    decision = decisions.challenge(with_past, second.training_id, NOON, policy)
    assert decision.outcome == "refused" and "recall 0.01 misses" in decision.reason
    recall = admin.execute(
        "SELECT candidate_value, champion_value > 0.5, passed FROM ml.promotions WHERE criterion = 'recall'"
    ).fetchall()
    assert recall == [(0.01, True, False)]
    with pytest.raises(ModelError, match="champion already"):
        decisions.challenge(with_past, first.training_id, NOON, policy)
    with pytest.raises(ModelError, match="no previous champion"):
        decisions.rollback(with_past, NOON, "tester", "why not")
    with pytest.raises(ModelError, match="no challenger to promote"):
        decisions.promote(with_past, NOON, policy, by="tester", reason="why not")
    with pytest.raises(ModelError, match="needs a reason"):
        decisions.promote(with_past, NOON, policy, by="tester")


def test_a_champion_that_no_longer_fits_the_code_is_replaced_by_a_bootstrap(
    with_past: Settings, admin: psycopg.Connection, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = training.train(with_past, NOON, policy, bootstrap=True)
    assert registry.aliases(with_past)[registry.CHAMPION] == first.model_version
    training.train(with_past, NOON, policy, bootstrap=True)
    assert registry.aliases(with_past)[registry.CHAMPION] == first.model_version, "one that can score stays"
    monkeypatch.setattr("ml.features.contract", lambda: "another")
    training.train(with_past, NOON, policy)
    assert registry.aliases(with_past)[registry.CHAMPION] == first.model_version, "a retraining leaves it to the gates"
    last = training.train(with_past, NOON, policy, bootstrap=True)
    assert registry.aliases(with_past)[registry.CHAMPION] == last.model_version
    reason = admin.execute("SELECT reason FROM ml.promotions ORDER BY promotion_id DESC LIMIT 1").fetchone()
    assert reason is not None and reason[0].startswith(f"champion {first.model_version} has other inputs")


def test_a_champion_that_a_gate_made_during_a_bootstrap_stays(
    warehouse: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 3 was trained in the place of 1, which can't score; meanwhile somebody promoted 2."""
    one = in_memory(monkeypatch, champion="2", previous="1")
    with connect(warehouse, Role.SCORE) as connection:
        assert not training._first(warehouse, connection, "3", "1", NOON, "champion 1 has other inputs")
        assert one.aliases == {"champion": "2", "previous": "1"} and decided(admin) == []
        assert training._first(warehouse, connection, "3", "2", NOON, "champion 2 has other inputs")
    assert one.aliases["champion"] == "3" and decided(admin) == [("first_model", "champion", "3")]


def test_of_two_trainings_at_once_one_is_told_to_wait(
    with_past: Settings, admin: psycopg.Connection, policy: Policy
) -> None:
    few = policy.model_copy(update={"max_normal_rows": 2000, "min_training_rows": 200})
    ready, ended = threading.Barrier(2), []

    def train() -> None:
        ready.wait()
        try:
            ended.append(training.train(with_past, NOON, few, bootstrap=True).outcome)
        except ModelError as error:
            ended.append(str(error))

    both = [threading.Thread(target=train) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert ended == ["another training is under way; wait for it to end", "trained"]
    runs = admin.execute("SELECT outcome, model_version FROM ml.training_runs").fetchall()
    assert runs == [("trained", "1")] and registry.aliases(with_past).versions == {"champion": "1"}


def _files(folder: Path, recommendations: str = SHOWN, answers: str = GIVEN) -> tuple[Path, Path]:
    one, two = folder / "past.csv", folder / "answers.csv"
    one.write_text(f"{RECOMMENDATIONS}\n{recommendations}\n")
    two.write_text(f"{ANSWERS}\n{answers}\n")
    return one, two


def test_the_past_is_imported_in_silence_and_once(site: Settings, tmp_path: Path, admin: psycopg.Connection) -> None:
    admin.execute("LISTEN equipment_recommendations")
    files = _files(tmp_path)
    assert history.import_history(site, *files) == history.ImportResult(1, 1)
    assert history.import_history(site, *files) == history.ImportResult(0, 0)
    assert list(admin.notifies(timeout=0.2)) == []
    assert feedback.sync(site, NOON) == feedback.SyncResult(1, 1)
    label = admin.execute("SELECT label, action_code, judged_by FROM ml.labels").fetchone()
    assert label == ("true_positive", "schedule_maintenance", "op-1")


@pytest.mark.parametrize(
    ("recommendations", "answers", "complaint"),
    [
        (
            SHOWN.replace("0.8,sig", "high,sig"),
            GIVEN,
            "past.csv, line 2, column anomaly_score: must be a number",
        ),
        (SHOWN.replace("significant", "bad"), GIVEN, "column severity: must be one of minor, significant, critical"),
        (SHOWN.replace("10:00:00Z", "10:00:00"), GIVEN, "column timestamp: must carry a time zone"),
        (SHOWN, GIVEN.replace("R1", "R9"), "answers.csv, line 2, column recommendation_id: must be in"),
        (SHOWN, GIVEN.replace("executed", "maybe"), "column operator_action: must be one of executed, deferred"),
    ],
)
def test_a_bad_file_loads_nothing(
    site: Settings, tmp_path: Path, admin: psycopg.Connection, recommendations: str, answers: str, complaint: str
) -> None:
    with pytest.raises(HistoryFileError) as error:
        history.import_history(site, *_files(tmp_path, recommendations, answers))
    assert complaint in str(error.value)
    assert admin.execute("SELECT count(*) FROM serving.recommendations_serving").fetchone() == (0,)


def test_a_missing_column_is_named(site: Settings, tmp_path: Path) -> None:
    one, two = _files(tmp_path)
    one.write_text("recommendation_id,equipment_id\nR1,PUMP-1\n")
    with pytest.raises(HistoryFileError, match="line 1: missing column timestamp, anomaly_score"):
        history.import_history(site, one, two)
