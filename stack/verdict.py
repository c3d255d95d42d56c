"""What a smoke run measured, and whether that is good enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

# What is fit for a fault: the answer to its cause, or taking the load off until someone can look.
FIT_ACTIONS = {"bearing_wear": ("schedule_maintenance", "reduce_speed", "emergency_shutdown")}

MAX_FIRST_SCORE_S = 240.0
MAX_MINUTE_RUN_S = 20.0
MAX_DURATION_S = 900.0
MAX_RSS_MB = 5_000.0
MAX_FALSE_RECOMMENDATIONS = 1


@dataclass
class Figures:
    """The keys of `var/smoke.json`. None where the run didn't get that far.

    `values_*` and `duplicates` count counter values, all others say their unit in the name.
    """

    values_offered: int | None = None
    values_landed: int | None = None
    values_lost: int | None = None
    duplicates: int | None = None
    tag_to_row_ms_p50: float | None = None
    tag_to_row_ms_p99: float | None = None
    minute_run_s_p50: float | None = None
    control_recommendations: int | None = None
    injected_equipment: str | None = None
    injected_fault: str | None = None
    recommended_equipment: str | None = None
    recommended_action: str | None = None
    fault_to_recommendation_s: float | None = None
    false_recommendations: int | None = None
    notify_ms_p50: float | None = None
    feedback_answers: int | None = None
    feedback_synced: int | None = None
    retrain_s: float | None = None
    training_rows: int | None = None
    promotion_decision: str | None = None
    promotion_reason: str | None = None
    peak_rss_mb: float | None = None
    duration_s: float | None = None
    # Beyond the named ones.
    history_days: int | None = None
    first_score_s: float | None = None
    first_minute_s: float | None = None
    minutes_scored: int | None = None
    minutes_failed: int | None = None
    gate_figures: int | None = None
    prepare_s: dict[str, float] = field(default_factory=dict)
    stages_s: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def shortfalls(figures: Figures) -> list[tuple[str, str]]:
    """What is not good enough, as (stage, why); empty where the run proved what it should."""
    found: list[tuple[str, str]] = []

    def require(fine: bool, stage: str, why: str) -> None:
        if not fine:
            found.append((stage, why))

    f = figures
    missing = [key.name for key in fields(f) if getattr(f, key.name) is None]
    require(not missing, "smoke", f"not measured: {', '.join(missing)}")
    if missing:
        return found
    assert f.values_offered is not None and f.training_rows is not None and f.false_recommendations is not None
    assert f.first_score_s is not None and f.minute_run_s_p50 is not None and f.peak_rss_mb is not None
    assert f.duration_s is not None and f.gate_figures is not None and f.injected_fault is not None
    require(f.values_offered > 0, "count", "the counters offered nothing")
    require(f.values_lost == 0, "count", f"{f.values_lost} of {f.values_offered} counter values lost")
    require(f.duplicates == 0, "count", f"{f.duplicates} counter values landed twice")
    require(f.control_recommendations == 0, "control", f"{f.control_recommendations} recommendations without a fault")
    require(f.recommended_equipment == f.injected_equipment, "recommendation", "not on the injected machine")
    fit = FIT_ACTIONS[f.injected_fault]
    require(
        f.recommended_action in fit, "recommendation",
        f"{f.recommended_action} is no answer to {f.injected_fault}; fit: {', '.join(fit)}",
    )  # fmt: skip
    require(
        f.false_recommendations <= MAX_FALSE_RECOMMENDATIONS, "recommendation",
        f"{f.false_recommendations} recommendations on machines without a fault; at most {MAX_FALSE_RECOMMENDATIONS}",
    )  # fmt: skip
    require(f.feedback_answers == f.feedback_synced, "feedback",
            f"{f.feedback_synced} of {f.feedback_answers} answers synced")  # fmt: skip
    require(f.training_rows > 0, "retrain", "trained on no rows")
    require(f.gate_figures > 0, "retrain", "the gate decided without a figure")
    require(f.first_score_s <= MAX_FIRST_SCORE_S, "start",
            f"first scored minute after {f.first_score_s:.0f} s; at most {MAX_FIRST_SCORE_S:.0f}")  # fmt: skip
    require(f.minute_run_s_p50 <= MAX_MINUTE_RUN_S, "minute",
            f"a minute's run takes {f.minute_run_s_p50:.1f} s; at most {MAX_MINUTE_RUN_S:.0f}")  # fmt: skip
    require(f.peak_rss_mb <= MAX_RSS_MB, "memory", f"{f.peak_rss_mb:.0f} MB; at most {MAX_RSS_MB:.0f}")
    require(f.duration_s <= MAX_DURATION_S, "smoke", f"{f.duration_s:.0f} s; at most {MAX_DURATION_S:.0f}")
    return found
