"""Rules without a database: what holds whatever the candidates are."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ml.policy import Policy
from ml.recommending.causes import COMBINATION, Cause, cause, read
from ml.recommending.circumstances import Asset
from ml.recommending.rules import Shown, judge, severity

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
ACTIONS = ("schedule_maintenance", "reduce_speed", "check_blockage", "preventive_inspection")
ASSETS = {"A": Asset("P", 2, 900.0, "EUR"), "B": Asset("P", 0, 50.0, "EUR"), "C": Asset("Q"), "D": Asset("Q")}


def _candidate(number: int, machine: str, minute: int, score: float, action: str, measurement: str) -> dict[str, Any]:
    return {
        "score_id": number, "equipment_id": machine, "window_end": NOON + timedelta(minutes=minute),
        "anomaly_score": score, "action_code": action, "confidence": 0.9, "score_before": 0.8, "is_running": True,
        "in_maintenance": False, f"{measurement}_deviation_5m": 5.0,
    }  # fmt: skip


CANDIDATES = st.lists(
    st.tuples(
        st.sampled_from(sorted(ASSETS)), st.integers(0, 9), st.floats(0.5, 1.0), st.sampled_from(ACTIONS),
        st.sampled_from(("vibration", "temperature", "power")),
    ),
    max_size=40, unique_by=lambda c: c[:2],
)  # fmt: skip


@settings(max_examples=100)
@given(CANDIDATES, st.integers(1, 3), st.integers(1, 2))
def test_no_operator_gets_more_than_the_budget_and_no_cause_is_open_twice(
    given_candidates: list[tuple[Any, ...]], alarms: int, operators: int
) -> None:
    candidates = [_candidate(number, *fields) for number, fields in enumerate(given_candidates)]
    policy = Policy(alarms_per_hour=alarms, operators=operators)
    verdicts = judge(candidates, {}, ASSETS, NOON + timedelta(minutes=9), policy)
    assert len(verdicts) == len(candidates)
    shown = [v for v in verdicts if v.reason is None]
    counts = Counter(v.asset.plant for v in shown if v.severity != "critical")
    assert max(counts.values(), default=0) <= alarms * operators
    for number, later in enumerate(shown):
        before = [v for v in shown[:number] if v.candidate["equipment_id"] == later.candidate["equipment_id"]]
        # What was only inspected may since have been told apart, and is then of another cause.
        assert not any(later.cause.same(v.cause) for v in before if v.cause.action != "preventive_inspection")
    for verdict in verdicts:
        if verdict.over_budget:
            assert verdict.severity == "significant"
        if verdict.worsens is not None:
            assert verdict.reason is not None and verdict.reason.startswith(("escalates:", "diagnoses:"))


def test_the_budget_counts_what_is_new_and_holds_back_neither_critical_ones_nor_what_got_worse() -> None:
    """A deferred one of two hours ago has come back; the hour's budget is two."""
    assets = {name: Asset("P") for name in "ABCDEF"}
    back = Shown("rec-0", NOON - timedelta(hours=2), "significant", "pending", 0.8, Cause("reduce_speed", "power"))
    scores = (("A", 0.95), ("B", 0.8), ("C", 0.8), ("B", 0.95), ("D", 0.92), ("E", 0.8))
    candidates = [
        _candidate(number, machine, number, score, "reduce_speed", "power")
        for number, (machine, score) in enumerate(scores, start=1)
    ]
    verdicts = judge(candidates, {"F": [back]}, assets, NOON + timedelta(minutes=6), Policy(alarms_per_hour=2))
    assert [(v.reason or "shown").split(";")[0] for v in verdicts] == [
        "shown", "shown", "alarm budget: 2 shown within the hour, 2 allowed", "escalates: it made rec-2 critical",
        "shown", "alarm budget: 3 shown within the hour, 2 allowed",
    ]  # fmt: skip


def test_a_more_critical_asset_comes_first_and_then_what_its_downtime_costs() -> None:
    assets = {
        "cheap": Asset("P", 1, 10.0, "EUR"),
        "dear": Asset("P", 1, 500.0, "EUR"),
        "vital": Asset("P", 2, 1.0, "EUR"),
    }
    scores = {"cheap": 0.85, "dear": 0.75, "vital": 0.71}
    candidates = [_candidate(n, m, 0, s, "reduce_speed", "power") for n, (m, s) in enumerate(scores.items())]
    order = [v.candidate["equipment_id"] for v in judge(candidates, {}, assets, NOON, Policy())]
    assert order == ["vital", "dear", "cheap"]
    assets["cheap"] = Asset("P", 1, 10.0, "USD")
    order = [v.candidate["equipment_id"] for v in judge(candidates, {}, assets, NOON, Policy())]
    assert order == ["vital", "cheap", "dear"], "costs in two currencies don't compare"


def test_causes_are_one_where_action_or_sensor_agree() -> None:
    worn, warm = Cause("schedule_maintenance", "vibration"), Cause("schedule_maintenance", "temperature")
    assert worn.same(warm) and worn.same(Cause("reduce_speed", "vibration")) and worn.same(None)
    assert not worn.same(Cause("reduce_speed", "temperature"))
    assert not Cause("preventive_inspection", "vibration").same(Cause("preventive_inspection", "power")), "two sensors"
    assert read(str(worn)) == worn and read(None) is None
    row = {"action_code": "check_blockage", "power_deviation_5m": 1.0, "speed_flat_minutes": 7}
    assert cause(row).measurement == "speed"
    assert cause({"action_code": "check_blockage", "power_deviation_5m": None}).measurement == COMBINATION


def test_what_was_shown_before_causes_were_kept_is_the_same_as_anything() -> None:
    old = Shown("rec-0", NOON - timedelta(minutes=30), "significant", "pending", 0.8, None)
    candidate = _candidate(1, "A", 0, 0.8, "reduce_speed", "power")
    assert judge([candidate], {"A": [old]}, ASSETS, NOON, Policy())[0].reason.startswith("open:")  # type: ignore[union-attr]
    assert severity(0.9) == "critical"


def test_what_was_only_odd_is_told_in_place_once_it_is_known() -> None:
    odd = _candidate(1, "A", 0, 0.8, "preventive_inspection", "power") | {"power_deviation_5m": 1.0}
    worn = _candidate(2, "A", 1, 0.8, "schedule_maintenance", "vibration")
    hot = _candidate(3, "A", 2, 0.8, "reduce_speed", "temperature")
    shown: dict[str, list[Shown]] = {}
    verdicts = judge([odd, worn, hot], shown, ASSETS, NOON + timedelta(minutes=2), Policy())
    assert verdicts[0].reason is None and verdicts[0].cause.unknown
    assert (verdicts[1].worsens, verdicts[1].reason) == ("rec-1", "diagnoses: it made rec-1 schedule_maintenance")
    assert verdicts[2].reason is None, "now that the first is known, another cause is another"
    assert [row.cause for row in shown["A"]] == [verdicts[1].cause, verdicts[2].cause]
