"""Alarms of the demo plant against what really happened, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from bench.scoreboard.demo import result
from bench.scoreboard.plant_truth import AFTERMATH, NORMAL, Judged, findings, headline, judge, mode_rows
from bench.scoreboard.report import page

SPLIT = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL = SPLIT + timedelta(hours=10)


def at(minutes: float) -> pd.Timestamp:
    return pd.Timestamp(SPLIT) + pd.Timedelta(minutes=minutes)


def fault(machine: str, mode: str, start: float, full: float, end: float, repaired: float) -> dict[str, object]:
    return {
        "equipment_id": machine, "mode": mode, "started_at": at(start), "full_at": at(full), "ended_at": at(end),
        "repaired_at": at(repaired),
    }  # fmt: skip


@pytest.fixture
def judged() -> Judged:
    """Two machines, ten hours by the minute: P found after 30 of its 120 minutes, Q missed, one false alarm of Q."""
    truth = pd.DataFrame(
        [
            fault("P", "bearing_wear", 60, 180, 150, 200),
            fault("Q", "cooling_loss", 100, 200, 200, 260),
            fault("Q", "blockage", -60, 20, 20, 30),
        ]
    )
    rows = []
    for machine in ("P", "Q"):
        for minute in range(1, 601):
            score, action, left = 0.1, "continue_operation", float("nan")
            if machine == "P" and 90 <= minute <= 150:
                score, action, left = 0.95, "schedule_maintenance", 2.0
            if machine == "Q" and (minute in (400, 420) or minute < 20):
                score, action = 0.8, "check_blockage"
            rows.append((machine, at(minute).tz_localize(None), score, action, 0.9, left))
    names = ["equipment_id", "window_end", "anomaly_score", "action_code", "confidence", "estimated_ttf"]
    return judge(pd.DataFrame(rows, columns=names), truth, SPLIT, UNTIL, 5)


def test_windows_are_of_a_fault_normal_or_cannot_be_told(judged: Judged) -> None:
    assert judged.faults.mode.tolist() == ["bearing_wear", "cooling_loss"]
    own = judged.machines == "P"
    assert (judged.fault[own] == 0).sum() == 90  # minutes 61 to 150
    assert (judged.fault[own] == AFTERMATH).sum() == 110  # the repair, and an hour
    assert (judged.fault[own] == NORMAL).sum() == 400
    assert (judged.fault[~own] == AFTERMATH)[:90].all()  # of the fault from before the split


def test_the_headline_counts_by_hand(judged: Judged) -> None:
    found = headline([judged], 0.7)
    assert (found["faults"], found["found"], found["recall"]) == (2, 1, 0.5)
    assert found["precision"] == 0.5  # P's alarm, and Q's at 400 and 420, which is one
    normal = 400 + 600 - 90 - 220
    assert found["FAR %"] == pytest.approx(100 * 2 / normal)
    assert found["false alarms/machine-week"] == pytest.approx(1 / (normal / 10080))
    assert found["alarms/h"] == pytest.approx(0.2)
    assert found["most in an hour"] == 1
    assert found["delay min (median)"] == 30
    assert found["action right at first %"] == 100
    # Minutes 90 to 150 before a failure at 180, estimated as 2 h: 0.5 h off at first, 1.5 h at last.
    assert found["time-to-failure error h (median)"] == pytest.approx(1.0)


@pytest.mark.parametrize(("minute", "within"), [(150, 100.0), (151, 0.0)])
def test_an_action_is_right_at_first_or_within_an_hour(judged: Judged, minute: int, within: float) -> None:
    """P is raised from minute 90 on."""
    actions = judged.actions.copy()
    own = (judged.machines == "P") & (judged.scores >= 0.9)
    since = int(at(minute).timestamp() * 1e6)
    actions[own & (judged.ends < since)] = "preventive_inspection"
    found = headline([replace(judged, actions=actions)], 0.7)
    assert (found["action right at first %"], found["within an hour %"]) == (0.0, within)
    (row,) = (row for row in mode_rows([judged], 0.7) if row["mode"] == "bearing_wear")
    assert (row["action right at first %"], row["within an hour %"]) == (100.0, 100.0)


def test_a_higher_threshold_raises_less(judged: Judged) -> None:
    found = headline([judged, judged], 0.9)
    assert (found["faults"], found["found"], found["precision"]) == (4, 2, 1.0)
    assert headline([judged], 0.99)["precision"] is None


def test_modes_have_a_row_each(judged: Judged) -> None:
    rows = {row["mode"]: row for row in mode_rows([judged], 0.7)}
    assert rows["bearing_wear"] | {"delay % of growth": 25.0} == rows["bearing_wear"]
    assert (rows["bearing_wear"]["recall"], rows["bearing_wear"]["precision"]) == (1.0, 1.0)
    assert (rows["cooling_loss"]["recall"], rows["cooling_loss"]["precision"]) == (0.0, None)
    assert rows["blockage"]["precision"] == 0.0  # what was said of Q, without a blockage
    assert rows["sensor_stuck"]["recall"] is None


def test_what_is_bad_is_said(judged: Judged) -> None:
    missed, false, significant, critical = findings([judged], 0.7)
    assert missed.startswith("Missed (seed 5): cooling_loss of Q, highest score 0.10 in 100 windows")
    assert "had grown to 100%" in missed
    assert significant.startswith("The band at 0.7 stands for 0.23 false alarms a machine-week: 0.0 in 0 machine-weeks")
    assert significant.endswith("and 1 came.") and critical.endswith("and 0 came.")
    assert false == "Of 1 false alarms most are of Q 1; they said check_blockage 1."


def test_the_set_is_shown_with_its_aims(judged: Judged) -> None:
    made = {"command": "c", "commit": "Commit x", "at": "now", "machine": "m", "versions": {}, "seconds": 1.0}
    found = result([judged, judged])
    text = page({"left_out": {}, "sets": {"demo": found | {"made": made}}})
    assert "| demo | recall over faults | 0.50 | ≥ 0.9 | **short** |" in text
    assert [row["judged"] for row in found["rows"]][-1] == "seed 5, score ≥ 0.7"
