"""Scores of the demo plant against what the simulator knows of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.scoreboard.product import CRITICAL, SHOWN
from ml.episodes import MERGE_MINUTES, MINUTE, Episodes, episodes, machine_weeks
from ml.features import micros
from ml.policy import Policy
from simulator.faults import MECHANICAL, MODES
from simulator.judgments import ACTIONS

_HOUR = 60 * MINUTE
NORMAL, AFTERMATH = -1, -2


@dataclass(frozen=True)
class Faults:
    """Arrays (k,) in order of the truth file; times are microseconds since 1970."""

    machine: NDArray[Any]
    mode: NDArray[Any]
    start: NDArray[np.int64]
    full: NDArray[np.int64]
    end: NDArray[np.int64]
    over: NDArray[np.int64]  # repaired, and out of every window

    @classmethod
    def of(cls, truth: pd.DataFrame) -> Faults:
        start, full, end, repaired = (
            _micros(truth[name]) for name in ("started_at", "full_at", "ended_at", "repaired_at")
        )
        over = np.maximum(end, repaired) + MERGE_MINUTES * MINUTE
        return cls(truth["equipment_id"].to_numpy(object), truth["mode"].to_numpy(object), start, full, end, over)

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: NDArray[np.bool_]) -> Faults:
        return Faults(*(getattr(self, name)[rows] for name in ("machine", "mode", "start", "full", "end", "over")))


@dataclass(frozen=True)
class Judged:
    """One seed's scores beside the faults of its judged time. Times are microseconds since 1970.

    `fault` (n,) is the fault that a window lies in, NORMAL, or AFTERMATH where it can't be told.
    """

    seed: int
    hours: float
    machines: NDArray[Any]
    ends: NDArray[np.int64]
    scores: NDArray[np.float64]
    actions: NDArray[Any]
    hours_left: NDArray[np.float64]
    fault: NDArray[np.int64]
    faults: Faults


@dataclass(frozen=True)
class Alarms:
    """The alarms of one seed at one threshold: `found` is the fault of each, NORMAL where it is false."""

    episodes: Episodes
    found: NDArray[np.int64]
    action: NDArray[Any]  # said most often in each


def judge(scores: pd.DataFrame, truth: pd.DataFrame, split: datetime, until: datetime, seed: int) -> Judged:
    """Lay `scores` (see `Product.scores`) of (split, until] over the faults that begin after the split.

    A fault from before the split is neither: it began before anyone watched.
    """
    machines, ends = scores["equipment_id"].to_numpy(object), _micros(scores["window_end"])
    faults = Faults.of(truth)
    judged = faults.take(faults.start >= micros(split))
    fault = np.full(len(ends), NORMAL, dtype=np.int64)
    for machine, start, over in zip(faults.machine, faults.start, faults.over, strict=True):
        fault[(machines == machine) & (ends > start) & (ends <= over)] = AFTERMATH
    for row in range(len(judged)):
        own = machines == judged.machine[row]
        fault[own & (ends > judged.start[row]) & (ends <= judged.end[row])] = row
    return Judged(
        seed, (until - split).total_seconds() / 3600, machines, ends, scores["anomaly_score"].to_numpy(float),
        scores["action_code"].to_numpy(object), scores["estimated_ttf"].to_numpy(float), fault, judged,
    )  # fmt: skip


def _micros(times: pd.Series) -> NDArray[np.int64]:
    stamps = pd.to_datetime(times, utc=True).dt.tz_localize(None)
    return stamps.to_numpy().astype("datetime64[us]").astype(np.int64)


def alarms(judged: Judged, threshold: float) -> Alarms:
    """Runs of windows at `threshold` or above; those in an aftermath raise none."""
    raised = (judged.scores >= threshold) & (judged.fault != AFTERMATH)
    found = episodes(judged.machines, judged.ends, raised)
    which, said = [], []
    for machine, start, end in zip(found.equipment, found.start, found.end, strict=True):
        own = raised & (judged.machines == machine) & (judged.ends >= start) & (judged.ends <= end)
        which.append(int(judged.fault[own].max()))
        said.append(Counter(judged.actions[own]).most_common(1)[0][0])
    return Alarms(found, np.array(which, dtype=np.int64), np.array(said, dtype=object))


def first_raised(judged: Judged, threshold: float) -> NDArray[np.int64]:
    """The index of the window that first raised each fault (faults,), −1 where none did."""
    first = np.full(len(judged.faults), -1)
    order = np.argsort(judged.ends, kind="stable")
    for row in order[(judged.scores[order] >= threshold) & (judged.fault[order] >= 0)][::-1]:
        first[judged.fault[row]] = row
    return first


def headline(judged: list[Judged], threshold: float) -> dict[str, Any]:
    """All the figures of some seeds at one threshold, pooled. None where there was nothing to count."""
    named = "all seeds" if len(judged) > 1 else f"seed {judged[0].seed}"
    each = [(one, alarms(one, threshold), first_raised(one, threshold)) for one in judged]
    faults = sum(len(one.faults) for one in judged)
    hit = sum(int((first >= 0).sum()) for _, _, first in each)
    false = sum(int((seen.found == NORMAL).sum()) for _, seen, _ in each)
    count = sum(len(seen.found) for _, seen, _ in each)
    normal = sum(int((one.fault == NORMAL).sum()) for one in judged)
    flagged = sum(int(((one.fault == NORMAL) & (one.scores >= threshold)).sum()) for one in judged)
    weeks = sum(machine_weeks(one.machines[one.fault == NORMAL]) for one in judged)
    delays = np.concatenate([_delays(one, first) for one, _, first in each])
    right = np.concatenate([_right(one, first, threshold, first >= 0) for one, _, first in each])
    errors = np.concatenate([_time_errors(one, threshold) for one in judged])
    busiest = max((_busiest_hour(seen.episodes) for _, seen, _ in each), default=0)
    return {
        "path": "product path",
        "judged": f"{named}, score ≥ {threshold}",
        "faults": faults,
        "found": hit,
        "recall": hit / faults if faults else None,
        "precision": (count - false) / count if count else None,
        "FAR %": 100 * flagged / normal if normal else None,
        "false alarms/machine-week": false / weeks if weeks else None,
        "alarms/h": count / sum(one.hours for one in judged),
        "most in an hour": busiest,
        "delay min (median)": _median(delays),
        **_rights(right),
        "time-to-failure error h (median)": _median(errors),
    }


def mode_rows(judged: list[Judged], threshold: float) -> list[dict[str, Any]]:
    """A row a failure mode, over all seeds."""
    each = [(one, alarms(one, threshold), first_raised(one, threshold)) for one in judged]
    rows = []
    for mode in MODES:
        faults = hit = said = true = 0
        delays, shares, right, errors = [], [], [], []
        for one, seen, first in each:
            own = np.asarray(one.faults.mode == mode, dtype=bool)
            found = own & (first >= 0)
            faults, hit = faults + int(own.sum()), hit + int(found.sum())
            delay = np.full(len(own), np.nan)
            delay[first >= 0] = _delays(one, first)
            delays.append(delay[found])
            growth = (one.faults.full - one.faults.start) / MINUTE
            shares.append(100 * delay[found] / growth[found])
            right.append(_right(one, first, threshold, found))
            errors.append(_time_errors(one, threshold, mode))
            saying = seen.action == ACTIONS[mode]
            same = [fault >= 0 and ACTIONS[one.faults.mode[fault]] == ACTIONS[mode] for fault in seen.found]
            said, true = said + int(saying.sum()), true + int((saying & np.array(same, bool)).sum())
        rows.append(
            {
                "mode": mode, "faults": faults, "found": hit, "recall": hit / faults if faults else None,
                "action": ACTIONS[mode], "alarms that say it": said, "precision": true / said if said else None,
                "delay min (median)": _median(np.concatenate(delays)),
                "delay % of growth": _median(np.concatenate(shares)),
                **_rights(np.concatenate(right)),
                "time-to-failure error h (median)": _median(np.concatenate(errors)),
            }
        )  # fmt: skip
    return rows


def findings(judged: list[Judged], threshold: float) -> list[str]:
    """What is bad, from the figures: what was missed and how near it came, whose the false alarms are."""
    said = []
    for one in judged:
        first = first_raised(one, threshold)
        for fault in np.flatnonzero(first < 0):
            start, full, end = (times[fault] for times in (one.faults.start, one.faults.full, one.faults.end))
            inside = one.scores[one.fault == fault]
            grown = min(1.0, float((end - start) / (full - start))) ** 1.5
            highest = f"highest score {inside.max():.2f}" if len(inside) else "no window was scored"
            mode, machine = one.faults.mode[fault], one.faults.machine[fault]
            said.append(
                f"Missed (seed {one.seed}): {mode} of {machine}, {highest} in {len(inside)} windows of"
                f" {(end - start) / _HOUR:.1f} h; {(full - start) / _HOUR:.1f} h make it whole, and it had grown to"
                f" {grown:.0%}."
            )
    false: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    for one in judged:
        seen = alarms(one, threshold)
        false.update(str(machine) for machine in seen.episodes.equipment[seen.found == NORMAL])
        actions.update(str(action) for action in seen.action[seen.found == NORMAL])
    if total := sum(false.values()):
        machines = ", ".join(f"{machine} {count}" for machine, count in false.most_common(3))
        words = ", ".join(f"{action} {count}" for action, count in actions.most_common(3))
        said.append(f"Of {total} false alarms most are of {machines}; they said {words}.")
    said += [_band(judged, score, weekly) for score, weekly in _bands()]
    return said


def _bands() -> tuple[tuple[float, float], ...]:
    """Scores that recommendations hang on, with the false alarms a machine-week that each is shipped to stand for."""
    _, significant, critical = Policy().bands_weekly
    return (SHOWN, significant), (CRITICAL, critical)


def _band(judged: list[Judged], score: float, weekly: float) -> str:
    """What a band says that it is beside what it was; on little time a rare one can't be told."""
    false = sum(int((alarms(one, score).found == NORMAL).sum()) for one in judged)
    weeks = sum(machine_weeks(one.machines[one.fault == NORMAL]) for one in judged)
    return (
        f"The band at {score} stands for {weekly:.2f} false alarms a machine-week: {weekly * weeks:.1f} in"
        f" {weeks:.0f} machine-weeks, and {false} came."
    )


def _delays(one: Judged, first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Minutes from the first trace to the first raised window, of the faults that were found."""
    found = np.flatnonzero(first >= 0)
    return np.asarray((one.ends[first[found]] - one.faults.start[found]) / MINUTE, float)


def _right(one: Judged, first: NDArray[np.int64], threshold: float, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of faults `which` (faults,): whether the right action was said at first, and within an hour of it; (found, 2)."""
    right = []
    for fault in np.flatnonzero(which):
        began = one.ends[first[fault]]
        raised = (one.fault == fault) & (one.scores >= threshold) & (one.ends <= began + _HOUR)
        action = ACTIONS[one.faults.mode[fault]]
        right.append([one.actions[first[fault]] == action, bool((one.actions[raised] == action).any())])
    return np.array(right, bool).reshape(-1, 2)


def _rights(right: NDArray[np.bool_]) -> dict[str, float | None]:
    at_first, within = (100 * right.mean(axis=0)).tolist() if len(right) else (None, None)
    return {"action right at first %": at_first, "within an hour %": within}


def _time_errors(one: Judged, threshold: float, mode: str | None = None) -> NDArray[np.float64]:
    """Hours between the estimated and the true time to failure, of raised windows of machines that would fail."""
    inside = (one.fault >= 0) & (one.scores >= threshold) & np.isfinite(one.hours_left)
    rows = np.flatnonzero(inside)
    modes = one.faults.mode[one.fault[rows]]
    rows = rows[np.isin(modes, [mode] if mode in MECHANICAL else [] if mode else list(MECHANICAL))]
    true = (one.faults.full[one.fault[rows]] - one.ends[rows]) / _HOUR
    return np.asarray(np.abs(one.hours_left[rows] - true), float)


def _busiest_hour(found: Episodes) -> int:
    return max(Counter((found.start // _HOUR).tolist()).values(), default=0)


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if len(values) else None
