"""From scores to recommendations: every candidate is kept, and those that an operator should see are shown.

What is shown was confirmed by a second window (or is extreme), is fresh, sure enough, not shown already and within the
alarm budget; every other candidate says in `held_reason` why it isn't.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ml import wording
from ml.evaluation import ALERT_THRESHOLD
from ml.features import MEASUREMENTS
from ml.policy import Policy
from ml.scorecard import NO_PRECEDENT, NO_PRECEDENT_CONFIDENCE
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MINOR, SIGNIFICANT, CRITICAL = 0.5, ALERT_THRESHOLD, 0.9
RANK = {"minor": 0, "significant": 1, "critical": 2}
LOOK_BACK = timedelta(days=1)
# A machine is believed to be well again on this many windows, not on silence.
CLEARING_WINDOWS = 5

_SEEN = [f"{m}_{what}" for m in MEASUREMENTS for what in ("mean_5m", "deviation_5m", "slope_60m", "flat_minutes")]
# In machine-weeks drawn for the challenger its scores are what is published, so that somebody answers them; a window
# that it has no score of is the champion's. Off by default (`own_share`).
_PUBLISHES = """(CASE WHEN %(own_share)s > 0 AND EXISTS (
    SELECT FROM ml.scores AS own
    WHERE own.equipment_id = {scored}.equipment_id AND own.window_end = {scored}.window_end AND own.role = 'challenger'
        AND own.superseded_at IS NULL
        AND ml.drawn_at(own.equipment_id, own.window_end, own.model_version) < %(own_share)s
) THEN 'challenger' ELSE 'champion' END)"""
_CANDIDATES = f"""
SELECT s.score_id, s.role, s.equipment_id, s.window_end, s.anomaly_score, s.action_code, s.confidence, s.estimated_ttf,
    s.ttf_low, s.ttf_high, s.over_gap, s.model_version, latest.is_running, latest.in_maintenance,
    {", ".join(f"g.{name}" for name in _SEEN)},
    (SELECT max(p.anomaly_score) FROM ml.scores AS p
     WHERE p.equipment_id = s.equipment_id AND p.role = s.role AND p.superseded_at IS NULL
        AND p.window_end < s.window_end AND p.window_end >= s.window_end - %(persistence)s) AS score_before
FROM ml.scores AS s
LEFT JOIN marts.gold_ml_features AS g USING (equipment_id, window_end)
LEFT JOIN LATERAL (
    SELECT n.is_running, n.in_maintenance FROM marts.gold_ml_features AS n
    WHERE n.equipment_id = s.equipment_id AND n.window_end <= %(moment)s ORDER BY n.window_end DESC LIMIT 1
) AS latest ON true
WHERE s.role = {_PUBLISHES.format(scored="s")} AND s.superseded_at IS NULL AND s.anomaly_score >= %(minor)s
    AND s.window_end <= %(moment)s AND s.window_end > %(after)s
    AND NOT EXISTS (SELECT FROM ml.recommendations AS r WHERE r.recommendation_id = 'rec-' || s.score_id)
ORDER BY s.window_end, s.anomaly_score DESC, s.equipment_id
"""
_EXPIRE = f"""
UPDATE serving.recommendations_serving AS r SET status = 'expired', deferred_until = NULL
WHERE r.status IN ('pending', 'deferred') AND (
    (r.timestamp <= %(moment)s - %(expire)s AND (
        SELECT count(*) >= %(clearing)s AND max(s.anomaly_score) < %(minor)s FROM ml.scores AS s
        WHERE s.equipment_id = r.equipment_id AND s.role = {_PUBLISHES.format(scored="s")} AND s.superseded_at IS NULL
            AND s.window_end > %(moment)s - %(expire)s AND s.window_end <= %(moment)s))
    OR (SELECT n.in_maintenance FROM marts.gold_ml_features AS n
        WHERE n.equipment_id = r.equipment_id AND n.window_end <= %(moment)s AND n.window_end > r.timestamp
        ORDER BY n.window_end DESC LIMIT 1))
RETURNING recommendation_id
"""


@dataclass(frozen=True)
class PublishingResult:
    """What a run did; `held` counts candidates by the kind of reason."""

    candidates: int
    shown: list[str]
    escalated: list[str]
    expired: list[str]
    returned: list[str]
    held: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class _Shown:
    """A recommendation that operators have or had before them."""

    recommendation_id: str
    timestamp: datetime
    severity: str
    status: str
    score: float

    @property
    def open(self) -> bool:
        return self.status in ("pending", "deferred")


def severity(score: float) -> str:
    """The band of a score of at least 0.5."""
    return "critical" if score >= CRITICAL else "significant" if score >= SIGNIFICANT else "minor"


def publish(settings: Settings, moment: datetime, policy: Policy | None = None) -> PublishingResult:
    """Judge every score that wasn't judged yet, in one transaction; a run for the same moment changes nothing more."""
    policy = policy or Policy()
    began = time.perf_counter()
    with connect(settings, Role.SCORE) as connection:
        # Two runs at once would each find the machine without an open recommendation.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('ml.publish'))")
        returned = _ids(
            connection,
            "UPDATE serving.recommendations_serving SET status = 'pending', deferred_until = NULL"
            " WHERE status = 'deferred' AND deferred_until <= %(moment)s RETURNING recommendation_id",
            {"moment": moment},
        )
        parameters: dict[str, Any] = {
            "moment": moment,
            "after": moment - LOOK_BACK,
            "minor": MINOR,
            "persistence": timedelta(minutes=policy.persistence_minutes),
            "expire": timedelta(minutes=policy.expire_minutes),
            "clearing": CLEARING_WINDOWS,
            "own_share": policy.own_share,
        }
        expired = _ids(connection, _EXPIRE, parameters)
        with connection.cursor(row_factory=dict_row) as cursor:
            candidates = cursor.execute(_CANDIDATES, parameters).fetchall()
        shown_before = _shown_lately(connection, moment, policy)
        units = _units(connection) if candidates else {}
        shown: list[str] = []
        escalated: list[str] = []
        held: Counter[str] = Counter()
        used = sum(1 for rows in shown_before.values() for r in rows if r.timestamp > moment - timedelta(hours=1))
        # Worst first within a minute, so that a full budget is spent on what matters most.
        for candidate in sorted(candidates, key=lambda c: (c["window_end"], -c["anomaly_score"])):
            machine = shown_before.setdefault(candidate["equipment_id"], [])
            values = _values(candidate, units.get(candidate["equipment_id"], {}))
            reason = _held(candidate, machine, moment, policy, used + len(shown))
            if reason is None and (worse := _escalates(candidate, machine)) is not None:
                _escalate(connection, worse, values)
                escalated.append(worse.recommendation_id)
                reason = f"escalates: it made {worse.recommendation_id} {values['severity']}"
            _keep(connection, values, reason)
            if reason is None:
                _show(connection, values)
                shown.append(values["recommendation_id"])
                entry = (values["recommendation_id"], values["timestamp"], values["severity"], "pending")
                machine.append(_Shown(*entry, values["anomaly_score"]))
            else:
                held[reason.split(":")[0]] += 1
        seconds = time.perf_counter() - began
        result = PublishingResult(len(candidates), shown, escalated, expired, returned, dict(held), seconds)
        _measure(connection, result)
    return result


def _held(candidate: dict[str, Any], machine: list[_Shown], moment: datetime, policy: Policy, used: int) -> str | None:
    """Why a candidate is not shown, or None. The word before the colon is the kind of reason."""
    score, end, grade = candidate["anomaly_score"], candidate["window_end"], severity(candidate["anomaly_score"])
    if end < moment - timedelta(minutes=policy.stale_minutes):
        return f"stale: the window ended more than {policy.stale_minutes} min before the run"
    if candidate["in_maintenance"]:
        return "in maintenance: the machine is being worked on"
    if candidate["is_running"] is False:
        return "stopped: the machine doesn't run"
    if grade == "minor":
        return "monitored: a minor deviation is watched, not shown"
    if grade == "significant" and candidate["confidence"] < policy.min_confidence:
        return f"low confidence: {candidate['confidence']:.2f}, shown from {policy.min_confidence:.2f}"
    before = candidate["score_before"]
    if score < policy.extreme_score and (before is None or before < SIGNIFICANT):
        return "not confirmed: it waits for a second window above 0.7"
    if any(r.timestamp == end for r in machine):
        return "superseded: this window was shown already, before late data changed it"
    # A machine that gets worse says so at once; the rest of the rules keep it from saying the same twice.
    if _escalates(candidate, machine) is not None:
        return None
    if opened := [r for r in machine if r.open]:
        return f"open: {opened[-1].recommendation_id} is open on this machine"
    recent = [r for r in machine if end - timedelta(minutes=policy.dedup_minutes) < r.timestamp <= end]
    if recent:
        return f"duplicate: {recent[-1].recommendation_id} was shown within {policy.dedup_minutes} min"
    quiet = end - timedelta(minutes=policy.quiet_minutes)
    answered = [
        r
        for r in machine
        if r.status in ("executed", "rejected") and r.timestamp > quiet and RANK[r.severity] >= RANK[grade]
    ]
    if answered:
        return f"answered: {answered[-1].recommendation_id} was {answered[-1].status} within {policy.quiet_minutes} min"
    if used >= policy.alarms_per_hour:
        return f"alarm budget: {used} shown within the hour, {policy.alarms_per_hour} allowed"
    return None


def _escalates(candidate: dict[str, Any], machine: list[_Shown]) -> _Shown | None:
    """The open recommendation that this candidate makes worse, if any."""
    grade = severity(candidate["anomaly_score"])
    for row in machine:
        if row.open and RANK[grade] > RANK[row.severity] and candidate["anomaly_score"] > row.score:
            return row
    return None


def _values(candidate: dict[str, Any], units: dict[str, str]) -> dict[str, Any]:
    action = candidate["action_code"]
    precedent = not (action == NO_PRECEDENT and candidate["confidence"] <= NO_PRECEDENT_CONFIDENCE)
    return {
        "recommendation_id": f"rec-{candidate['score_id']}",
        "equipment_id": candidate["equipment_id"],
        "timestamp": candidate["window_end"],
        "score_id": candidate["score_id"],
        "anomaly_score": candidate["anomaly_score"],
        "severity": severity(candidate["anomaly_score"]),
        "action_code": action,
        "recommendation_text": wording.text(candidate, units, action, candidate["estimated_ttf"], precedent),
        "confidence": candidate["confidence"],
        "estimated_ttf": candidate["estimated_ttf"],
        "ttf_low": candidate["ttf_low"],
        "ttf_high": candidate["ttf_high"],
        "temp_avg_5min": candidate["temperature_mean_5m"],
        "vibration_avg_5min": candidate["vibration_mean_5m"],
        "throughput_avg_5min": candidate["throughput_mean_5m"],
        "model_version": candidate["model_version"],
        "published_by": candidate["role"],
    }


def _keep(connection: psycopg.Connection, values: dict[str, Any], reason: str | None) -> None:
    connection.execute(
        """
        INSERT INTO ml.recommendations (recommendation_id, equipment_id, "timestamp", score_id, anomaly_score, severity,
            action_code, recommendation_text, confidence, estimated_ttf, ttf_low, ttf_high, temp_avg_5min,
            vibration_avg_5min, throughput_avg_5min, model_version, published_by, held_reason)
        VALUES (%(recommendation_id)s, %(equipment_id)s, %(timestamp)s, %(score_id)s, %(anomaly_score)s, %(severity)s,
            %(action_code)s, %(recommendation_text)s, %(confidence)s, %(estimated_ttf)s, %(ttf_low)s, %(ttf_high)s,
            %(temp_avg_5min)s, %(vibration_avg_5min)s, %(throughput_avg_5min)s, %(model_version)s, %(published_by)s,
            %(held_reason)s)
        """,
        values | {"held_reason": reason},
    )


def _show(connection: psycopg.Connection, values: dict[str, Any]) -> None:
    # The table's trigger notifies; the row is the truth.
    connection.execute(
        """
        INSERT INTO serving.recommendations_serving (recommendation_id, equipment_id, "timestamp", anomaly_score,
            severity, action_code, recommendation_text, confidence, estimated_ttf, temp_avg_5min, vibration_avg_5min,
            throughput_avg_5min, model_version)
        VALUES (%(recommendation_id)s, %(equipment_id)s, %(timestamp)s, %(anomaly_score)s, %(severity)s,
            %(action_code)s, %(recommendation_text)s,
            %(confidence)s, %(estimated_ttf)s, %(temp_avg_5min)s, %(vibration_avg_5min)s,
            %(throughput_avg_5min)s, %(model_version)s)
        """,
        values,
    )


def _escalate(connection: psycopg.Connection, row: _Shown, values: dict[str, Any]) -> None:
    """Make an open recommendation worse where it stands; a deferred one comes back, and both are announced."""
    connection.execute(
        """
        UPDATE serving.recommendations_serving SET anomaly_score = %(anomaly_score)s, severity = %(severity)s,
            action_code = %(action_code)s, recommendation_text = %(recommendation_text)s, confidence = %(confidence)s,
            estimated_ttf = %(estimated_ttf)s, temp_avg_5min = %(temp_avg_5min)s,
            vibration_avg_5min = %(vibration_avg_5min)s, throughput_avg_5min = %(throughput_avg_5min)s,
            model_version = %(model_version)s, status = 'pending', deferred_until = NULL
        WHERE recommendation_id = %(shown_id)s
        """,
        values | {"shown_id": row.recommendation_id},
    )
    payload = {
        "kind": "escalation",
        "recommendation_id": row.recommendation_id,
        "equipment_id": values["equipment_id"],
        "timestamp": row.timestamp.isoformat(),
        "severity": values["severity"],
        "action_code": values["action_code"],
        "recommendation_text": values["recommendation_text"][:2000],
        "anomaly_score": values["anomaly_score"],
        "confidence": values["confidence"],
    }
    connection.execute("SELECT pg_notify('equipment_recommendations', %s)", (json.dumps(payload),))
    row.severity, row.score, row.status = values["severity"], values["anomaly_score"], "pending"


def _shown_lately(connection: psycopg.Connection, moment: datetime, policy: Policy) -> dict[str, list[_Shown]]:
    """Open recommendations of any age and all of the last hours, by machine, oldest first."""
    since = moment - timedelta(minutes=max(policy.quiet_minutes, policy.dedup_minutes, 60))
    rows = connection.execute(
        'SELECT equipment_id, recommendation_id, "timestamp", severity, status, anomaly_score'
        " FROM serving.recommendations_serving WHERE status IN ('pending', 'deferred')"
        ' OR ("timestamp" > %s AND "timestamp" <= %s) ORDER BY "timestamp"',
        (since, moment),
    )
    shown: dict[str, list[_Shown]] = {}
    for machine, *values in rows:
        shown.setdefault(machine, []).append(_Shown(*values))
    return shown


def _units(connection: psycopg.Connection) -> dict[str, dict[str, str]]:
    rows = connection.execute(
        "SELECT equipment_id, measurement, max(unit) FROM raw.tags"
        " WHERE role = 'measurement' AND valid_to IS NULL GROUP BY 1, 2"
    )
    units: dict[str, dict[str, str]] = {}
    for machine, measurement, unit in rows:
        units.setdefault(machine, {})[measurement] = unit
    return units


def _ids(connection: psycopg.Connection, statement: str, parameters: dict[str, Any]) -> list[str]:
    return [row[0] for row in connection.execute(statement, parameters)]  # type: ignore[call-overload]


def _measure(connection: psycopg.Connection, result: PublishingResult) -> None:
    figures = {
        "publish_s": result.seconds,
        "candidates": result.candidates,
        "shown": len(result.shown),
        "held": sum(result.held.values()),
    }
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value) VALUES ('score', %s, %s)",
            [(metric, float(value)) for metric, value in figures.items()],
        )
