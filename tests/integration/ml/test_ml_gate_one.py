"""Gate 1: what a candidate must be to be watched in the shadow."""

from __future__ import annotations

import psycopg
import pytest

from ml import gates
from ml.errors import ModelError
from ml.policy import Policy
from tests.integration.ml.shadowing import DAY, SINCE, Registry, decisions, in_memory, rows, trained
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
    decision = gates.challenge(warehouse, "T", SINCE, RULES)
    assert decision.outcome == "challenger", decision.reason
    assert registry.aliases == {"champion": "1", "challenger": "2"}
    assert set(rows(admin)) - {"decision"} == {
        "training_rows", "positive_rows", "champion", "precision", "precision_difference", "recall", "false_alarm_rate",
        "alarm_rate_difference", "chatter_rate_difference", "latency_ms", "bundle_mb", "feature_contract", "place",
    }  # fmt: skip
    before = admin.execute("SELECT count(*) FROM ml.promotions").fetchone()
    assert gates.challenge(warehouse, "T", SINCE, RULES) == decision, "for the same moment it decides the same"
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
    warehouse: Settings, admin: psycopg.Connection, registry: Registry, figures: dict[str, float], failed: str
) -> None:
    """The first: better on average, and worse at finding faults."""
    trained(admin, "T", "2", own=figures)
    decision = gates.challenge(warehouse, "T", SINCE, RULES)
    assert decision.outcome == "refused"
    assert {name for name, (passed, _) in rows(admin).items() if not passed} == {failed, "decision"}
    assert decision.reason == rows(admin)[failed][1], "in words"
    assert registry.aliases == {"champion": "1"}


def test_less_precise_by_chance_is_not_worse(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    own = {"precision": 0.75, "precision_difference_low": -0.12, "precision_difference_high": 0.02}
    trained(admin, "T", "2", own=own)
    assert gates.challenge(warehouse, "T", SINCE, RULES).outcome == "challenger"


def test_no_candidate_too_few_rows_and_no_fault_are_refused(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    trained(admin, "few", None, rows=999, reason="999 training rows, fewer than 1,000")
    trained(admin, "one class", "2", positives=0)
    first = gates.challenge(warehouse, "few", SINCE, RULES)
    assert first.outcome == "refused" and "fewer than 1,000" in first.reason
    assert gates.challenge(warehouse, "few", SINCE, RULES) == first
    second = gates.challenge(warehouse, "one class", SINCE, RULES)
    assert second.outcome == "refused" and "positive_rows 0 misses 1" in second.reason
    assert decisions(admin) == [("challenger", "refused", None), ("challenger", "refused", "2")]
    with pytest.raises(ModelError, match="no training 'none'"):
        gates.challenge(warehouse, "none", SINCE, RULES)


def test_a_champion_that_came_between_training_and_gate_was_not_compared(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    trained(admin, "T", "2")
    registry.aliases = {"champion": "3", "previous": "1"}
    decision = gates.challenge(warehouse, "T", SINCE, RULES)
    assert decision.outcome == "refused" and "champion 3 was not judged" in decision.reason


def test_of_two_retrainings_the_first_keeps_its_place_while_it_is_watched(
    warehouse: Settings, admin: psycopg.Connection, registry: Registry
) -> None:
    for number in (2, 3):
        trained(admin, f"T{number}", str(number))
    assert gates.challenge(warehouse, "T2", SINCE, RULES).outcome == "challenger"
    late = gates.challenge(warehouse, "T3", SINCE + 7 * DAY, RULES)
    assert late.outcome == "refused" and "version 2 is challenger since 2026-03-02 and keeps its place" in late.reason
    assert registry.aliases["challenger"] == "2"
    assert gates.challenge(warehouse, "T3", SINCE + 42 * DAY, RULES).outcome == "challenger"
    assert registry.aliases["challenger"] == "3"
