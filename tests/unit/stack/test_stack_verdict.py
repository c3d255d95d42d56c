"""The smoke run's verdict fails for each thing that it has to prove."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stack.verdict import Figures, shortfalls

GOOD = Figures(
    history_days=45,
    values_offered=1000, values_landed=1000, values_lost=0, duplicates=0, tag_to_row_ms_p50=200.0,
    tag_to_row_ms_p99=600.0, minute_run_s_p50=6.0, control_recommendations=0, injected_equipment="PUMP-001",
    injected_fault="bearing_wear", recommended_equipment="PUMP-001", recommended_action="schedule_maintenance",
    fault_to_recommendation_s=150.0, false_recommendations=1, notify_ms_p50=3.0, feedback_answers=1, feedback_synced=1,
    retrain_s=30.0, training_rows=5000, promotion_decision="challenger", promotion_reason="better",
    peak_rss_mb=2500.0, duration_s=600.0, first_score_s=200.0, first_minute_s=250.0, minutes_scored=9,
    minutes_failed=0, gate_figures=5,
)  # fmt: skip


def test_a_good_run_has_no_shortfall() -> None:
    assert shortfalls(GOOD) == []


@pytest.mark.parametrize(
    ("changed", "stage"),
    [
        ({"values_lost": 1}, "count"),
        ({"duplicates": 1}, "count"),
        ({"values_offered": 0}, "count"),
        ({"control_recommendations": 1}, "control"),
        ({"recommended_equipment": "HAUL-001"}, "recommendation"),
        ({"recommended_action": "check_blockage"}, "recommendation"),
        ({"false_recommendations": 2}, "recommendation"),
        ({"feedback_synced": 0}, "feedback"),
        ({"training_rows": 0}, "retrain"),
        ({"gate_figures": 0}, "retrain"),
        ({"first_score_s": 241.0}, "start"),
        ({"minute_run_s_p50": 20.5}, "minute"),
        ({"peak_rss_mb": 5001.0}, "memory"),
        ({"duration_s": 901.0}, "smoke"),
        ({"notify_ms_p50": None}, "smoke"),
    ],
)
def test_each_shortfall_is_found_and_named(changed: dict[str, Any], stage: str) -> None:
    assert [where for where, _ in shortfalls(replace(GOOD, **changed))] == [stage]


def test_the_figures_carry_every_name_of_the_contract() -> None:
    assert list(GOOD.as_json())[:23] == [
        "values_offered", "values_landed", "values_lost", "duplicates", "tag_to_row_ms_p50", "tag_to_row_ms_p99",
        "minute_run_s_p50", "control_recommendations", "injected_equipment", "injected_fault", "recommended_equipment",
        "recommended_action", "fault_to_recommendation_s", "false_recommendations", "notify_ms_p50", "feedback_answers",
        "feedback_synced", "retrain_s", "training_rows", "promotion_decision", "promotion_reason", "peak_rss_mb",
        "duration_s",
    ]  # fmt: skip
