"""Gate 1: what a candidate must be to be watched in the shadow."""

from __future__ import annotations

import threading

import psycopg
import pytest

from ml.errors import ModelError
from ml.gates import decisions
from ml.policy import Policy
from tests.integration.ml.shadowing import DAY, SINCE, Figures, Registry, decided, in_memory, rows, trained
from warehouse.settings import Settings

RULES = Policy()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, admin: psycopg.Connection) -> Registry:
    admin.execute(
        "INSERT INTO ml.promotions (moment, gate, candidate_version, criterion, passed, decision, reason)"
        " VALUES (%s, 'first_model', '1', 'decision', true, 'champion', 'x')",
        (SINCE - DAY,),
    )
    return in_memory(monkeypatch, champion="1")


def test_an_equal_candidate_becomes_challenger_with_every_figure_a_row(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    trained(admin, "T", "2")
    decision = decisions.challenge(warehouse, "T", SINCE, RULES)
    assert decision.outcome == "challenger", decision.reason
    assert registry.aliases == {"champion": "1", "challenger": "2"}
    assert set(rows(admin)) - {"decision"} == {
        "training_rows", "positive_rows", "champion", "precision", "precision_difference", "recall", "false_alarm_rate",
        "alarm_rate_difference", "chatter_rate_difference", "latency_ms", "bundle_mb", "feature_contract", "place",
    }  # fmt: skip
    before = admin.execute("SELECT count(*) FROM ml.promotions").fetchone()
    assert decisions.challenge(warehouse, "T", SINCE, RULES) == decision, "for the same moment it decides the same"
    assert admin.execute("SELECT count(*) FROM ml.promotions").fetchone() == before


@pytest.mark.parametrize(
    ("figures", "failed"),
    [
        (
            {"precision": 0.95, "precision_difference_low": 0.1, "precision_difference_high": 0.2, "recall": 0.8},
            "recall",
        ),
        ({"precision": 0.75, "precision_difference_high": -0.01}, "precision_difference"),
        ({"precision": 0.65}, "precision"),
        ({"false_alarm_rate": 0.06}, "false_alarm_rate"),
        ({"alarm_rate": 1.5, "alarm_rate_difference_low": 0.1}, "alarm_rate_difference"),
        ({"chatter_rate": 0.5, "chatter_rate_difference_low": 0.1}, "chatter_rate_difference"),
        ({"latency_ms": 2500.0}, "latency_ms"),
        ({"bundle_mb": 51.0}, "bundle_mb"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_one_figure_that_fails_refuses_it(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry, figures: Figures, failed: str
) -> None:
    """The first: better on average, and worse at finding faults."""
    trained(admin, "T", "2", own=figures)
    decision = decisions.challenge(warehouse, "T", SINCE, RULES)
    assert decision.outcome == "refused"
    assert {name for name, (passed, _) in rows(admin).items() if not passed} == {failed, "decision"}
    assert decision.reason == rows(admin)[failed][1], "in words"
    assert registry.aliases == {"champion": "1"}


def test_less_precise_by_chance_is_not_worse(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    own: Figures = {"precision": 0.75, "precision_difference_low": -0.12, "precision_difference_high": 0.02}
    trained(admin, "T", "2", own=own)
    assert decisions.challenge(warehouse, "T", SINCE, RULES).outcome == "challenger"


def test_one_that_finds_too_few_faults_is_refused_however_few_the_champion_finds(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    trained(admin, "T", "2", own={"recall": 0.29}, theirs={"recall": 0.2})
    decision = decisions.challenge(warehouse, "T", SINCE, RULES)
    assert (decision.outcome, decision.reason) == ("refused", "recall 0.29 misses 0.3 (champion 0.2)")
    # Unknown with faults there to be found, it is no reason to look away.
    trained(admin, "U", "3", own={"recall": None}, theirs={"recall": 0.2})
    assert "recall unknown misses 0.3" in decisions.challenge(warehouse, "U", SINCE, RULES).reason
    assert registry.aliases == {"champion": "1"}


def test_weeks_without_a_fault_judge_what_is_false_and_not_what_is_found(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    """Neither raised a fault, for there was none; the champion raised something, so that its precision is 0."""
    none: Figures = {"positive_windows": 0.0, "recall": None, "precision": None}
    for name, own in (("noisy", {"false_alarm_rate": 0.06}), ("calm", {})):
        unknown: Figures = {f"precision_difference{end}": None for end in ("", "_low", "_high")}
        trained(admin, name, name, own=none | unknown | own, theirs=none | {"precision": 0.0})
    noisy = decisions.challenge(warehouse, "noisy", SINCE, RULES)
    assert (noisy.outcome, noisy.reason) == ("refused", "false_alarm_rate 0.06 breaks 0.05 (champion 0.001)")
    calm = decisions.challenge(warehouse, "calm", SINCE, RULES)
    assert calm.outcome == "challenger", calm.reason
    assert "recall can't be judged: the held-out time has no labelled fault" in calm.reason
    found = {c.name: c for c in calm.criteria}
    assert found["recall"].candidate is None and found["recall"].bound == 0.3


def test_one_that_sees_other_features_than_the_mart_has_is_refused(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    trained(admin, "T", "2")
    registry.old = {"2"}
    decision = decisions.challenge(warehouse, "T", SINCE, RULES)
    assert decision.outcome == "refused"
    assert decision.reason.startswith("feature contract another of version 2 is not the mart's ")
    assert registry.aliases == {"champion": "1"}


def test_no_candidate_too_few_rows_and_no_fault_are_refused(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    trained(admin, "few", None, rows=999, reason="999 training rows, fewer than 1,000")
    trained(admin, "one class", "2", positives=0)
    first = decisions.challenge(warehouse, "few", SINCE, RULES)
    assert first.outcome == "refused" and "fewer than 1,000" in first.reason
    assert decisions.challenge(warehouse, "few", SINCE, RULES) == first
    # Another that was refused at that moment has no version either, and is told by its own reason and figures.
    trained(admin, "fewer", None, rows=7, reason="7 training rows, fewer than 1,000")
    fewer = decisions.challenge(warehouse, "fewer", SINCE, RULES)
    assert fewer.reason == "no candidate: 7 training rows, fewer than 1,000"
    assert decisions.challenge(warehouse, "fewer", SINCE, RULES) == fewer
    assert decisions.challenge(warehouse, "few", SINCE, RULES) == first
    told = [(row["reason"], [c.candidate for c in row["criteria"]]) for row in decisions.history(warehouse, 2)]
    assert told == [(fewer.reason, [7, 200]), (first.reason, [999, 200])]
    second = decisions.challenge(warehouse, "one class", SINCE, RULES)
    assert second.outcome == "refused" and "positive_rows 0 misses 1" in second.reason
    assert decided(admin) == [("challenger", "refused", version) for version in (None, None, "2")]
    with pytest.raises(ModelError, match="no training 'none'; the last ones are fewer, one class, few"):
        decisions.challenge(warehouse, "none", SINCE, RULES)


def test_a_champion_that_came_between_training_and_gate_was_not_compared(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    trained(admin, "T", "2")
    registry.aliases = {"champion": "3", "previous": "1"}
    decision = decisions.challenge(warehouse, "T", SINCE, RULES)
    assert decision.outcome == "refused" and "champion 3 was not judged" in decision.reason


def test_of_two_retrainings_the_first_keeps_its_place_while_it_is_watched(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    for number in (2, 3):
        trained(admin, f"T{number}", str(number))
    assert decisions.challenge(warehouse, "T2", SINCE, RULES).outcome == "challenger"
    with pytest.raises(ModelError, match="version 2 is the challenger already, since 2026-03-02"):
        decisions.challenge(warehouse, "T2", SINCE + 3 * DAY, RULES)
    late = decisions.challenge(warehouse, "T3", SINCE + 7 * DAY, RULES)
    assert late.outcome == "refused" and "version 2 is challenger since 2026-03-02 and keeps its place" in late.reason
    assert registry.aliases["challenger"] == "2"
    assert decisions.challenge(warehouse, "T3", SINCE + 42 * DAY, RULES).outcome == "challenger"
    assert registry.aliases["challenger"] == "3"
    assert decided(admin) == [
        ("challenger", "challenger", "2"), ("challenger", "refused", "3"), ("place", "dismissed", "2"),
        ("challenger", "challenger", "3"),
    ]  # fmt: skip
    gone = decisions.history(warehouse)[1]
    assert gone["reason"] == (
        "version 3 takes its place before gate 2 decided: version 2 is challenger since 2026-03-02, long enough"
    )
    # One that a hand put there goes with a row as well, and at once.
    registry.aliases["challenger"] = "9"
    trained(admin, "T4", "4")
    decisions.challenge(warehouse, "T4", SINCE + 43 * DAY, RULES)
    assert decisions.history(warehouse)[1]["reason"].endswith(
        "version 9 never passed gate 1: its alias was set by hand"
    )


def test_of_two_candidates_at_once_one_becomes_challenger(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    for number in (2, 3):
        trained(admin, f"T{number}", str(number))
    ready, ended = threading.Barrier(2), []

    def challenge(training_id: str) -> None:
        ready.wait()
        ended.append(decisions.challenge(warehouse, training_id, SINCE, RULES))

    both = [threading.Thread(target=challenge, args=(name,)) for name in ("T2", "T3")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    winner, other = sorted(ended, key=lambda decision: decision.outcome)
    assert (winner.outcome, other.outcome) == ("challenger", "refused")
    assert f"version {winner.candidate_version} is challenger since" in other.reason
    assert registry.aliases == {"champion": "1", "challenger": winner.candidate_version}
