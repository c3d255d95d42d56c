"""From scores to recommendations: every candidate is kept, and those that an operator should see are shown.

What is shown was confirmed by a second window (or is extreme), is fresh, sure enough, not shown already and within the
alarm budget; every other candidate says in `held_reason` why it isn't. The rules are in `ml.recommending.rules`.
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

from ml.features import AVERAGES, HISTORY, MEASUREMENTS
from ml.policy import Policy
from ml.recommending import causes, circumstances, wording
from ml.recommending.causes import Cause
from ml.recommending.circumstances import Circumstances
from ml.recommending.rules import MINOR, OVER_BUDGET, Shown, Verdict, judge
from ml.scorecard import NO_PRECEDENT
from warehouse.roles import Role, connect
from warehouse.settings import Settings

LOOK_BACK = timedelta(days=1)
# A machine is believed to be well again on this many windows, not on silence.
CLEARING_WINDOWS = 5

_SEEN = [f"{m}_{what}" for m in MEASUREMENTS for what in ("mean_5m", "std_5m", "deviation_5m", "flat_minutes")]
_SEEN += [f"{m}_{what}_{w}m" for m in MEASUREMENTS for w in (15, 60) for what in ("deviation", "slope")]
_SEEN += [f"{m}_slope_5m" for m in MEASUREMENTS]
_SEEN += [*HISTORY, "regime"]
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
    s.ttf_low, s.ttf_high, s.failure_24h, s.over_gap, s.precedent, s.model_version, latest.is_running,
    latest.in_maintenance,
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
"""
# What is open, by what it was first diagnosed as, with what spoke for it since: each cause among the candidates.
_EASING = f"""
SELECT r.recommendation_id, kept.cause, told.windows, told.causes, coalesce(upkeep.in_maintenance, false)
FROM serving.recommendations_serving AS r
LEFT JOIN LATERAL (
    SELECT c.cause FROM ml.recommendations AS c
    WHERE c.shown_as = r.recommendation_id ORDER BY c.action_code = %(inspection)s, c.timestamp LIMIT 1
) AS kept ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS windows,
        array_agg(DISTINCT coalesce(c.cause, '')) FILTER (WHERE s.anomaly_score >= %(minor)s) AS causes
    FROM ml.scores AS s LEFT JOIN ml.recommendations AS c ON c.recommendation_id = 'rec-' || s.score_id
    WHERE s.equipment_id = r.equipment_id AND s.role = {_PUBLISHES.format(scored="s")} AND s.superseded_at IS NULL
        AND s.window_end > %(moment)s - %(expire)s AND s.window_end <= %(moment)s
        AND r.timestamp <= %(moment)s - %(expire)s
) AS told
LEFT JOIN LATERAL (
    SELECT n.in_maintenance FROM marts.gold_ml_features AS n
    WHERE n.equipment_id = r.equipment_id AND n.window_end <= %(moment)s AND n.window_end > r.timestamp
    ORDER BY n.window_end DESC LIMIT 1
) AS upkeep ON true
WHERE r.status IN ('pending', 'deferred')
"""
_KEPT = (
    "recommendation_id", "equipment_id", "timestamp", "score_id", "anomaly_score", "severity", "action_code",
    "recommendation_text", "confidence", "estimated_ttf", "ttf_low", "ttf_high", "temp_avg_5min", "vibration_avg_5min",
    "throughput_avg_5min", "model_version", "published_by", "cause", "held_reason", "shown_as",
)  # fmt: skip
# What the contract with HMIs has no column for.
_INNER = ("score_id", "ttf_low", "ttf_high", "published_by", "cause", "held_reason", "shown_as")
_SERVED = tuple(name for name in _KEPT if name not in _INNER)
_RENEWED = tuple(name for name in _SERVED if name not in ("recommendation_id", "equipment_id", "timestamp"))
_SHOW = f"""
INSERT INTO serving.recommendations_serving ({", ".join(_SERVED)})
VALUES ({", ".join(f"%({name})s" for name in _SERVED)})
"""
# A deferred one comes back.
_ESCALATE = f"""
UPDATE serving.recommendations_serving SET {", ".join(f"{name} = %({name})s" for name in _RENEWED)},
    status = 'pending', deferred_until = NULL
WHERE recommendation_id = %(shown_as)s
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
            "own_share": policy.own_share,
            "inspection": NO_PRECEDENT,
        }
        with connection.cursor(row_factory=dict_row) as cursor:
            candidates = cursor.execute(_CANDIDATES, parameters).fetchall()
        verdicts: list[Verdict] = []
        if candidates:
            assets = circumstances.assets(connection)
            before = _held_back(connection, moment)
            verdicts = judge(candidates, _shown_lately(connection, moment, policy), assets, moment, policy)
            _write(connection, verdicts, moment)
            _say_what_is_held_back(connection, verdicts, before)
        # After what was judged, for that says which causes go on.
        expired = _expire(connection, parameters)
        held = Counter(v.reason.split(":")[0] for v in verdicts if v.reason is not None)
        shown = [v.recommendation_id for v in verdicts if v.reason is None]
        escalated = [v.worsens for v in verdicts if v.worsens is not None]
        seconds = time.perf_counter() - began
        result = PublishingResult(len(candidates), shown, escalated, expired, returned, dict(held), seconds)
        _measure(connection, result)
    return result


def _write(connection: psycopg.Connection, verdicts: list[Verdict], moment: datetime) -> None:
    """Keep every candidate with its text, and show those that are to be seen."""
    units = circumstances.units(connection)
    seen = [v for v in verdicts if v.reason is None or v.worsens is not None]
    # What a machine's other systems say is looked up for what is read, not for a flood that is held back.
    known = dict(zip(map(id, seen), circumstances.gather(connection, [v.candidate for v in seen], moment), strict=True))
    behind = Counter(v.asset.plant for v in verdicts if v.over_budget)
    rows = [
        _values(v, units.get(v.candidate["equipment_id"], {}), known.get(id(v)), behind[v.asset.plant])
        for v in verdicts
    ]
    columns = ", ".join(f'"{name}"' for name in _KEPT)
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY ml.recommendations ({columns}) FROM STDIN") as copy:  # type: ignore[call-overload]
            for row in rows:
                copy.write_row([row[name] for name in _KEPT])
        # The table's trigger notifies; the row is the truth.
        cursor.executemany(_SHOW, [row for row in rows if row["held_reason"] is None])
        worse = [row for row in rows if row["held_reason"] is not None and row["shown_as"] is not None]
        cursor.executemany(_ESCALATE, worse)
        cursor.executemany("SELECT serving.announce(%s)", [(json.dumps(_escalation(row)),) for row in worse])


def _values(verdict: Verdict, units: dict[str, str], known: Circumstances | None, behind: int) -> dict[str, Any]:
    candidate = verdict.candidate
    words = wording.text(candidate, units, causes.has_precedent(candidate), known)
    if verdict.reason is None and behind:
        words += " " + wording.held_back(behind)
    return {
        "recommendation_id": verdict.recommendation_id,
        "equipment_id": candidate["equipment_id"],
        "timestamp": candidate["window_end"],
        "score_id": candidate["score_id"],
        "anomaly_score": candidate["anomaly_score"],
        "severity": verdict.severity,
        "action_code": candidate["action_code"],
        "recommendation_text": words,
        "confidence": candidate["confidence"],
        "estimated_ttf": candidate["estimated_ttf"],
        "ttf_low": candidate["ttf_low"],
        "ttf_high": candidate["ttf_high"],
        **{shown: candidate[name] for shown, name in AVERAGES.items()},
        "model_version": candidate["model_version"],
        "published_by": candidate["role"],
        "cause": str(verdict.cause),
        "held_reason": verdict.reason,
        "shown_as": verdict.recommendation_id if verdict.reason is None else verdict.worsens,
    }


def _escalation(row: dict[str, Any]) -> dict[str, Any]:
    told = ("equipment_id", "severity", "action_code", "recommendation_text", "anomaly_score", "confidence")
    return {
        "kind": "escalation",
        "recommendation_id": row["shown_as"],
        "timestamp": row["timestamp"].isoformat(),
        **{name: row[name] for name in told},
    }


def _held_back(connection: psycopg.Connection, moment: datetime) -> set[tuple[str, str]]:
    """Machine and cause of what the budget has held back within the hour, which has been said."""
    rows = connection.execute(
        "SELECT DISTINCT equipment_id, cause FROM ml.recommendations"
        f' WHERE held_reason LIKE \'{OVER_BUDGET}:%%\' AND "timestamp" > %s AND "timestamp" <= %s',
        (moment - timedelta(hours=1), moment),
    )
    return set(rows.fetchall())


def _say_what_is_held_back(
    connection: psycopg.Connection, verdicts: list[Verdict], before: set[tuple[str, str]]
) -> None:
    """Announce, by plant, how many are held back; once for each that is new among them, not every minute."""
    queues: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.over_budget:
            queues.setdefault(verdict.asset.plant, []).append(verdict)
    for plant, queue in queues.items():
        held = {(v.candidate["equipment_id"], str(v.cause)) for v in queue}
        if held <= before:
            continue
        first = queue[0]
        payload = {
            "kind": "held_back",
            "plant_id": plant,
            "held": len(held),
            "equipment_id": first.candidate["equipment_id"],
            "timestamp": first.candidate["window_end"].isoformat(),
            "severity": first.severity,
            "action_code": first.candidate["action_code"],
            "recommendation_text": wording.held_back(len(held)),
        }
        connection.execute("SELECT serving.announce(%s)", (json.dumps(payload),))


def _shown_lately(connection: psycopg.Connection, moment: datetime, policy: Policy) -> dict[str, list[Shown]]:
    """Open recommendations of any age, all of the last hours and what was answered in them, by machine, oldest first.

    An answer counts from when it came, also where the run works for a moment just before that.
    """
    since = moment - timedelta(minutes=max(policy.quiet_minutes, policy.dedup_minutes, 60))
    rows = connection.execute(
        "SELECT s.equipment_id, s.recommendation_id, s.timestamp, s.severity, s.status, s.anomaly_score, kept.cause,"
        " (SELECT max(a.created_at) FROM serving.operator_answers AS a WHERE a.recommendation_id = s.recommendation_id"
        " AND a.operator_action = s.status)"
        " FROM serving.recommendations_serving AS s LEFT JOIN LATERAL (SELECT r.cause FROM ml.recommendations AS r"
        " WHERE r.shown_as = s.recommendation_id ORDER BY r.action_code = %s, r.timestamp LIMIT 1) AS kept ON true"
        " WHERE s.status IN ('pending', 'deferred') OR (s.timestamp > %s AND s.timestamp <= %s)"
        " OR s.recommendation_id IN (SELECT a.recommendation_id FROM serving.operator_answers AS a"
        " WHERE a.created_at > %s) ORDER BY s.timestamp",
        (NO_PRECEDENT, since, moment, since),
    )
    shown: dict[str, list[Shown]] = {}
    for machine, name, at, grade, status, score, cause, answered_at in rows:
        shown.setdefault(machine, []).append(Shown(name, at, grade, status, score, causes.read(cause), answered_at))
    return shown


def _expire(connection: psycopg.Connection, parameters: dict[str, Any]) -> list[str]:
    """End what is open on a machine in maintenance, and what was not seen any more for long enough."""
    over = [
        name
        for name, cause, windows, found, in_maintenance in connection.execute(_EASING, parameters).fetchall()
        if in_maintenance or (windows >= CLEARING_WINDOWS and not _goes_on(causes.read(cause), found or []))
    ]
    if not over:
        return []
    return _ids(
        connection,
        "UPDATE serving.recommendations_serving SET status = 'expired', deferred_until = NULL"
        " WHERE recommendation_id = ANY(%(over)s) RETURNING recommendation_id",
        {"over": over},
    )


def _goes_on(cause: Cause | None, found: list[str]) -> bool:
    return any(cause is None or cause.same(causes.read(text)) for text in found)


def _ids(connection: psycopg.Connection, statement: str, parameters: dict[str, Any]) -> list[str]:
    return [row[0] for row in connection.execute(statement, parameters)]  # type: ignore[call-overload]


def _measure(connection: psycopg.Connection, result: PublishingResult) -> None:
    figures = {
        "publish_s": result.seconds,
        "candidates": result.candidates,
        "shown": len(result.shown),
        "held": sum(result.held.values()),
        "held_back": result.held.get(OVER_BUDGET, 0),
    }
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value) VALUES ('score', %s, %s)",
            [(metric, float(value)) for metric, value in figures.items()],
        )
