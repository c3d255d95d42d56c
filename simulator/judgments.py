"""Recommendations shown in the past and what operators answered: right ones mostly executed, false ones rejected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.exports import moment, write_csv
from simulator.faults import SENSOR
from simulator.machines import Floats, stream
from simulator.noise import DAY_S
from simulator.past import Episode
from simulator.schedule import RUNNING
from simulator.timeline import Stretch, Timeline

RECOMMENDATION_COLUMNS = (
    "recommendation_id", "equipment_id", "timestamp", "anomaly_score", "severity", "action_code", "recommendation_text",
    "confidence", "estimated_ttf", "temp_avg_5min", "vibration_avg_5min", "throughput_avg_5min", "status",
    "model_version",
)  # fmt: skip
ANSWER_COLUMNS = (
    "feedback_id", "recommendation_id", "equipment_id", "recommendation_timestamp", "action_code", "anomaly_score",
    "operator_action", "operator_id", "action_timestamp", "operator_notes", "shift", "session_id", "asked_genie",
)  # fmt: skip
_ANSWERS = ("executed", "deferred", "rejected", "ask_ai_why")
_WHEN_RIGHT = (0.86, 0.07, 0.03, 0.04)
_WHEN_FALSE = (0.04, 0.07, 0.81, 0.08)
_NOTES = {"executed": "done", "deferred": "after the shift", "rejected": "checked, nothing found", "ask_ai_why": ""}
ACTIONS = {
    "bearing_wear": "schedule_maintenance",
    "cooling_loss": "reduce_speed",
    "blockage": "check_blockage",
    "belt_slip": "schedule_maintenance",
    "sensor_stuck": "preventive_inspection",
    "sensor_drift": "preventive_inspection",
}
_ADVICE = {
    "schedule_maintenance": "have bearing and belt inspected within 24 h",
    "reduce_speed": "reduce speed to 60 % and check the cooling",
    "check_blockage": "check feed and discharge for a blockage",
    "emergency_shutdown": "stop the machine",
    "preventive_inspection": "inspect at the next window",
}
_ALL_IN_90_DAYS = 150
_MODEL = "rules-2024"  # what the plant had before it had a model


@dataclass(frozen=True)
class Shown:
    """One recommendation: whose, when, what, and whether a fault was behind it."""

    machine: int
    at: float
    action: str
    score: float
    confidence: float
    hours_left: float | None
    right: bool
    answered_at: float | None = None  # where it led to a work order


def write(timeline: Timeline, means: Stretch, seed: int, out: Path) -> int:
    """Write `past_recommendations.csv` and `operator_answers.csv`; returns how many recommendations."""
    right = [shown for episode in timeline.past.episodes for shown in _right(timeline, episode, seed)]
    wanted = round(_ALL_IN_90_DAYS * (timeline.until - timeline.first) / (90 * DAY_S))
    false = _false(timeline, seed, max(wanted - len(right), round(0.35 * wanted)))
    # One recommendation a machine and minute, as the serving table has it.
    unique = {(shown.machine, shown.at): shown for shown in [*false, *right]}
    recommendations, answers = [], []
    for shown in sorted(unique.values(), key=lambda s: (s.at, s.machine)):
        recommendation, answer = _rows(timeline, means, shown, seed)
        recommendations.append(recommendation)
        answers.append(answer)
    write_csv(out / "operator_answers.csv", ANSWER_COLUMNS, answers)
    return write_csv(out / "past_recommendations.csv", RECOMMENDATION_COLUMNS, recommendations)


def _right(timeline: Timeline, episode: Episode, seed: int) -> Iterator[Shown]:
    """Up to four along a fault's growth; where it was caught, the last led to the work order."""
    fault = episode.fault
    own = stream(seed, "right", fault.machine, int(fault.starts))
    count = int(own.integers(2, 5)) if fault.full - fault.starts > 3600 else 2
    if fault.mode in SENSOR:
        latest = episode.noticed - 600
        moments = np.sort(own.uniform(min(fault.grown_to(0.4) + 600, latest - 60), latest, min(count, 2)))
    else:
        moments = np.array([fault.grown_to(s) for s in np.sort(own.uniform(0.35, 0.95, count))])
        moments = moments[moments < episode.noticed - 600]
    answered_at: dict[int, float] = {}
    if episode.caught:
        moments = np.append(moments, episode.noticed - 300)
        answered_at[len(moments) - 1] = episode.noticed
    for index, at in enumerate(moments):
        grown = float(fault.severity(np.array([at]))[0])
        action = "emergency_shutdown" if fault.mode == "cooling_loss" and grown > 0.85 else ACTIONS[fault.mode]
        yield Shown(
            fault.machine,
            at // 60 * 60,
            action,
            min(0.70 + 0.27 * grown + 0.02 * own.random(), 0.99),
            min(0.76 + 0.2 * grown * own.random() + 0.02 * own.random(), 0.98),
            None if fault.mode in SENSOR else max(fault.full - at, 60.0) / 3600,
            True,
            answered_at.get(index),
        )


def _false(timeline: Timeline, seed: int, count: int) -> list[Shown]:
    """At healthy, running moments."""
    own = stream(seed, "false")
    found: list[Shown] = []
    for _ in range(20 * count):
        if len(found) == count:
            break
        machine = int(own.integers(timeline.machines.count))
        at = float(own.uniform(timeline.first + 6 * 3600, timeline.until - 6 * 3600) // 60 * 60)
        action, score, confidence = str(own.choice(list(_ADVICE))), own.uniform(0.70, 0.86), own.uniform(0.75, 0.84)
        around = np.arange(at - 3600, at + 1, 600)
        healthy = all(
            e.fault.machine != machine or not e.fault.starts - 3600 < at < e.repaired + 7200
            for e in timeline.past.episodes
        )
        if healthy and (timeline.said(around)[:, machine] == RUNNING).all():
            action = "preventive_inspection" if action == "emergency_shutdown" else action
            found.append(Shown(machine, at, action, score, confidence, None, False))
    return found


def _rows(timeline: Timeline, means: Stretch, shown: Shown, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    equipment_id = timeline.machines.ids[shown.machine]
    own = stream(seed, "answer", equipment_id, int(shown.at))
    answer = (
        "executed" if shown.answered_at else str(own.choice(_ANSWERS, p=_WHEN_RIGHT if shown.right else _WHEN_FALSE))
    )
    recommendation_id = f"HIST-{equipment_id}-{int(shown.at)}"
    averages = _averages(timeline, means, shown)
    row: dict[str, Any] = {
        "recommendation_id": recommendation_id,
        "equipment_id": equipment_id,
        "timestamp": moment(shown.at),
        "anomaly_score": round(shown.score, 4),
        "severity": "critical" if shown.score >= 0.9 else "significant",
        "action_code": shown.action,
        "recommendation_text": _text(equipment_id, shown.action, averages),
        "confidence": round(shown.confidence, 4),
        "estimated_ttf": None if shown.hours_left is None else round(shown.hours_left * own.uniform(0.7, 1.4), 2),
        **averages,
        # What was put off or only asked about has long lapsed.
        "status": answer if answer in ("executed", "rejected") else "expired",
        "model_version": _MODEL,
    }
    answered = shown.answered_at or shown.at + float(own.integers(2, 20)) * 60 + float(own.integers(60))
    shift = next((s.shift for s in timeline.past.slots if s.machine == 0 and s.starts <= answered < s.ends), "day")
    return row, {
        "feedback_id": f"FB-{recommendation_id}",
        "recommendation_id": recommendation_id,
        "equipment_id": equipment_id,
        "recommendation_timestamp": row["timestamp"],
        "action_code": shown.action,
        "anomaly_score": row["anomaly_score"],
        "operator_action": answer,
        "operator_id": f"op-{int(own.integers(1, 9)):02d}",
        "action_timestamp": moment(answered),
        "operator_notes": _NOTES[answer] or None,
        "shift": shift,
        "session_id": f"hist-{int(answered) // 28_800}",
        "asked_genie": "true" if answer == "ask_ai_why" else "false",
    }


def _averages(timeline: Timeline, means: Stretch, shown: Shown) -> dict[str, float | None]:
    """Means of the five minutes before, over all sensors of a kind."""
    last = int(np.searchsorted(means.times, shown.at))
    window: Floats = means.values[max(last - 5, 0) : last]
    found: dict[str, float | None] = {}
    for column, measurement in (
        ("temp_avg_5min", "temperature"),
        ("vibration_avg_5min", "vibration"),
        ("throughput_avg_5min", "throughput"),
    ):
        channels = [
            c
            for c in timeline.machines.channels_of(shown.machine)
            if timeline.machines.channels[c].tag.measurement == measurement
        ]
        found[column] = round(float(window[:, channels].mean()), 3) if channels and len(window) else None
    return found


def _text(equipment_id: str, action: str, averages: dict[str, float | None]) -> str:
    words = {"temp_avg_5min": "temperature", "vibration_avg_5min": "vibration", "throughput_avg_5min": "throughput"}
    seen = ", ".join(f"{words[name]} {value:.1f}" for name, value in averages.items() if value is not None)
    return f"{equipment_id}: unusual readings ({seen}); {_ADVICE[action]}."
