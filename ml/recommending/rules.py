"""Which candidates operators see and why not the others: pure decisions, without clock or database."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ml.calibration import BAND_SCORES
from ml.policy import Policy
from ml.recommending import causes
from ml.recommending.causes import Cause
from ml.recommending.circumstances import Asset

MINOR, SIGNIFICANT, CRITICAL = BAND_SCORES
RANK = {"minor": 0, "significant": 1, "critical": 2}
OVER_BUDGET = "alarm budget"


def severity(score: float) -> str:
    """The band of a score of at least 0.5."""
    return "critical" if score >= CRITICAL else "significant" if score >= SIGNIFICANT else "minor"


@dataclass
class Shown:
    """A recommendation that operators have or had before them."""

    recommendation_id: str
    timestamp: datetime
    severity: str
    status: str
    score: float
    cause: Cause | None
    answered_at: datetime | None = None  # when the last answer that decided it came; not of what was set otherwise

    @property
    def open(self) -> bool:
        return self.status in ("pending", "deferred")


@dataclass
class Verdict:
    """What becomes of a candidate: shown where `reason` is None, else held; `worsens` is the open one it escalates.

    The word before the reason's colon is its kind.
    """

    candidate: dict[str, Any]
    cause: Cause
    asset: Asset
    reason: str | None = None
    worsens: str | None = None

    @property
    def severity(self) -> str:
        return severity(self.candidate["anomaly_score"])

    @property
    def over_budget(self) -> bool:
        return self.reason is not None and self.reason.startswith(f"{OVER_BUDGET}:")

    @property
    def recommendation_id(self) -> str:
        return f"rec-{self.candidate['score_id']}"


def judge(
    candidates: list[dict[str, Any]],
    shown: dict[str, list[Shown]],
    assets: dict[str, Asset],
    moment: datetime,
    policy: Policy,
) -> list[Verdict]:
    """Decide on all `candidates`, window by window and in each the most important first; `shown` is brought up to date.

    A plant's operators share its budget of `policy.alarms_per_hour` each, counted by the ends of the windows that were
    shown within the last hour. Critical ones use it up, but are shown beyond it. What makes an open one worse takes its
    place, and is neither held back nor counted; a deferred one that comes back was counted when it was new.
    """
    since = moment - timedelta(hours=1)
    used: Counter[str] = Counter()
    for machine, rows in shown.items():
        used[assets[machine].plant if machine in assets else ""] += sum(row.timestamp > since for row in rows)
    verdicts = []
    comparable = len({a.currency for a in assets.values() if a.cost_per_h is not None}) == 1
    for candidate in sorted(candidates, key=lambda c: _order(c, assets, comparable)):
        asset = assets.get(candidate["equipment_id"], Asset(""))
        verdict = Verdict(candidate, causes.cause(candidate), asset)
        before = shown.setdefault(candidate["equipment_id"], [])
        verdict.reason = _held(verdict, before, moment, policy, used[asset.plant])
        if verdict.reason is None and (worse := _worsened(verdict, before)) is not None:
            verdict.worsens = worse.recommendation_id
            verdict.reason = f"escalates: it made {worse.recommendation_id} {verdict.severity}"
            if verdict.severity == worse.severity:
                verdict.reason = f"diagnoses: it made {worse.recommendation_id} {candidate['action_code']}"
            worse.severity, worse.score, worse.status = verdict.severity, candidate["anomaly_score"], "pending"
            # Its cause stays what it was first told to be, or one fault would wander from sensor to sensor.
            if verdict.cause.diagnoses(worse.cause):
                worse.cause = verdict.cause
        elif verdict.reason is None:
            used[asset.plant] += 1
            end, score = candidate["window_end"], candidate["anomaly_score"]
            entry = Shown(verdict.recommendation_id, end, verdict.severity, "pending", score, verdict.cause)
            before.append(entry)
        verdicts.append(verdict)
    _number_those_held_back(verdicts, policy)
    return verdicts


def _order(candidate: dict[str, Any], assets: dict[str, Asset], comparable: bool) -> tuple[Any, ...]:
    """Oldest window first; in it by severity, the asset's criticality, and score times the cost of an hour's downtime.

    Costs in different currencies aren't `comparable`; then it is the score alone.
    """
    asset = assets.get(candidate["equipment_id"], Asset(""))
    score = candidate["anomaly_score"]
    worth = (asset.cost_per_h or 0.0) if comparable else 1.0
    return (candidate["window_end"], -RANK[severity(score)], -asset.criticality, -score * worth, -score)


def _held(verdict: Verdict, machine: list[Shown], moment: datetime, policy: Policy, used: int) -> str | None:
    candidate, grade = verdict.candidate, verdict.severity
    score, end = candidate["anomaly_score"], candidate["window_end"]
    if end < moment - timedelta(minutes=policy.stale_minutes):
        return f"stale: the window ended more than {policy.stale_minutes} min before the run"
    if candidate["in_maintenance"]:
        return "in maintenance: the machine is being worked on"
    if candidate["is_running"] is False:
        return "stopped: the machine doesn't run, or runs up only"
    if grade == "minor":
        return "monitored: a minor deviation is watched, not shown"
    if grade == "significant" and candidate["confidence"] < policy.min_confidence:
        return f"low confidence: {candidate['confidence']:.2f}, shown from {policy.min_confidence:.2f}"
    before = candidate["score_before"]
    if score < policy.extreme_score and (before is None or before < SIGNIFICANT):
        return "not confirmed: it waits for a second window above 0.7"
    if any(row.timestamp == end for row in machine):
        return "superseded: this window was shown already, before late data or another champion scored it anew"
    # A machine that gets worse says so at once; the rest of the rules keep it from saying the same twice.
    if _worsened(verdict, machine) is not None:
        return None
    alike = [row for row in machine if verdict.cause.same(row.cause)]
    if opened := [row for row in alike if row.open]:
        return f"open: {opened[-1].recommendation_id} is open on this machine for the same cause"
    if recent := [row for row in alike if end - timedelta(minutes=policy.dedup_minutes) < row.timestamp <= end]:
        return f"duplicate: {recent[-1].recommendation_id} was shown within {policy.dedup_minutes} min"
    quiet = end - timedelta(minutes=policy.quiet_minutes)
    answered = [
        row
        for row in alike
        if row.status in ("executed", "rejected")
        and (row.answered_at or row.timestamp) > quiet
        and RANK[row.severity] >= RANK[grade]
    ]
    if answered:
        return f"answered: {answered[-1].recommendation_id} was {answered[-1].status} within {policy.quiet_minutes} min"
    allowed = policy.alarms_per_hour * policy.operators
    if used >= allowed and grade != "critical":
        return f"{OVER_BUDGET}: {used} shown within the hour, {allowed} allowed"
    return None


def _worsened(verdict: Verdict, machine: list[Shown]) -> Shown | None:
    """The open recommendation of the same cause that this candidate makes worse or tells the reason of, if any."""
    for row in machine:
        if not row.open or not verdict.cause.same(row.cause) or RANK[verdict.severity] < RANK[row.severity]:
            continue
        if RANK[verdict.severity] > RANK[row.severity] and verdict.candidate["anomaly_score"] > row.score:
            return row
        if row.status == "pending" and verdict.cause.diagnoses(row.cause):
            return row
    return None


def _number_those_held_back(verdicts: list[Verdict], policy: Policy) -> None:
    """Say in their reason which place they have in their plant's queue; the first takes the next room there is."""
    by_plant: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.over_budget:
            by_plant.setdefault(verdict.asset.plant, []).append(verdict)
    for queue in by_plant.values():
        for place, verdict in enumerate(queue, start=1):
            verdict.reason = f"{verdict.reason}; number {place} of {len(queue)} held back"
