"""Gate 1 makes a candidate the challenger, gate 2 makes a challenger the champion. Every figure is a row.

Both write one row a criterion into `ml.promotions`, passed or not, and one named 'decision' that sums up in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ml import evaluation, features, registry
from ml.errors import ModelError, RegistryError
from ml.policy import Policy
from warehouse.roles import Role, connect
from warehouse.settings import Settings


@dataclass(frozen=True)
class Criterion:
    """One figure of a gate: the candidate's, the champion's, and the bound that it was held against."""

    name: str
    candidate: float | None
    champion: float | None
    bound: float | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """What a gate came to: `outcome` is challenger, champion, refused, undecided or previous."""

    gate: str
    outcome: str
    candidate_version: str | None
    champion_version: str | None
    reason: str
    criteria: tuple[Criterion, ...] = ()


def challenge(settings: Settings, training_id: str, moment: datetime, policy: Policy | None = None) -> Decision:
    """Gate 1: compare a training's candidate with the champion on the same held-out time."""
    policy = policy or Policy()
    champion = registry.aliases(settings)[registry.CHAMPION]
    with connect(settings, Role.SCORE) as connection:
        run = connection.execute(
            "SELECT outcome, reason, model_version, training_rows, positive_rows FROM ml.training_runs"
            " WHERE training_id = %s",
            (training_id,),
        ).fetchone()
        if run is None:
            raise ModelError(f"there is no training {training_id!r}; python -m ml history lists them")
        outcome, reason, candidate, rows, positives = run
        size = [
            _at_least("training_rows", rows, None, float(policy.min_training_rows)),
            _at_least("positive_rows", positives, None, 1.0),
        ]
        if outcome != "trained" or candidate is None:
            decision = Decision("challenger", "refused", None, champion, f"no candidate: {reason}", tuple(size))
            return _record(connection, decision, moment)
        if candidate == champion:
            raise ModelError(f"version {candidate} is the champion already; there is nothing to compare it with")
        own = evaluation.load(connection, training_id, candidate)
        theirs = evaluation.load(connection, training_id, champion) if champion else {}
        criteria = (*size, *_criteria(own, theirs, policy, registry.load(settings, candidate).contract))
        failed = [c for c in criteria if not c.passed]
        if failed:
            words = "; ".join(c.reason for c in failed)
            decision = Decision("challenger", "refused", candidate, champion, words, criteria)
        else:
            words = "; ".join(c.reason for c in criteria if c.name in ("precision", "recall", "false_alarm_rate"))
            decision = Decision("challenger", "challenger", candidate, champion, words, criteria)
            registry.set_aliases(settings, {registry.CHALLENGER: candidate})
        return _record(connection, decision, moment)


def _criteria(
    own: dict[str, float | None], theirs: dict[str, float | None], policy: Policy, contract: str
) -> list[Criterion]:
    precision, recall = theirs.get("precision"), theirs.get("recall")
    same = contract == features.contract()
    return [
        _at_least(
            "precision", own.get("precision"), precision, None if precision is None else precision - policy.margin
        ),
        _at_least(
            "recall",
            own.get("recall"),
            recall,
            max(policy.recall_floor, 0.0 if recall is None else recall - policy.margin),
        ),
        _at_most(
            "false_alarm_rate", own.get("false_alarm_rate"), theirs.get("false_alarm_rate"), policy.max_false_alarm_rate
        ),
        _at_most("latency_ms", own.get("latency_ms"), theirs.get("latency_ms"), policy.max_latency_ms),
        _at_most("bundle_mb", own.get("bundle_mb"), None, policy.max_bundle_mb),
        Criterion(
            "feature_contract", None, None, None, same,
            f"feature contract {contract} " + ("is the mart's" if same else f"is not the mart's {features.contract()}"),
        ),
    ]  # fmt: skip


def _at_least(name: str, value: float | None, champion: float | None, bound: float | None) -> Criterion:
    if bound is None:
        return Criterion(name, value, champion, None, True, f"{name} {_say(value)}, nothing to compare with")
    passed = value is not None and value >= bound
    compared = "" if champion is None else f" (champion {_say(champion)})"
    word = "reaches" if passed else "misses"
    return Criterion(name, value, champion, bound, passed, f"{name} {_say(value)} {word} {_say(bound)}{compared}")


def _at_most(name: str, value: float | None, champion: float | None, bound: float) -> Criterion:
    passed = value is not None and value <= bound
    compared = "" if champion is None else f" (champion {_say(champion)})"
    word = "keeps within" if passed else "breaks"
    return Criterion(name, value, champion, bound, passed, f"{name} {_say(value)} {word} {_say(bound)}{compared}")


def _say(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def promote(
    settings: Settings,
    moment: datetime,
    policy: Policy | None = None,
    *,
    by: str | None = None,
    reason: str | None = None,
) -> Decision:
    """Gate 2: make the challenger champion once its shadow scores carry it; undecided, it stays challenger.

    It is judged on CMMS outcomes over all windows that both scored: failures seen ahead, and alerts far from any. A
    person (`by`) may promote with a `reason`, which is recorded as theirs.
    """
    policy = policy or Policy()
    if by is not None and not reason:
        raise ModelError("a promotion by hand needs a reason: --reason 'why'")
    known = registry.aliases(settings)
    champion, challenger = known[registry.CHAMPION], known[registry.CHALLENGER]
    if challenger is None or challenger == champion:
        if by is not None:
            raise ModelError("there is no challenger to promote; python -m ml history lists the versions")
        return Decision("promote", "undecided", None, champion, "there is no challenger")
    with connect(settings, Role.SCORE) as connection:
        if by is not None:
            decision = Decision("manual", "champion", challenger, champion, str(reason))
        else:
            decision = _judge(connection, challenger, champion, moment, policy)
        if decision.outcome == "champion":
            registry.set_aliases(
                settings,
                {registry.PREVIOUS: champion, registry.CHAMPION: challenger, registry.CHALLENGER: None},
            )
        return _record(connection, decision, moment, by or "gate")


_SHADOW = """
WITH both_scored AS (
    SELECT c.equipment_id, c.window_end, c.anomaly_score AS challenger, p.anomaly_score AS champion,
        EXISTS (
            SELECT FROM raw.cmms_failures AS f
            WHERE f.equipment_id = c.equipment_id AND f.available_at <= %(moment)s
                AND f.failed_at >= c.window_end AND f.failed_at < c.window_end + %(ahead)s
        ) AS before_failure,
        EXISTS (
            SELECT FROM raw.cmms_failures AS f
            WHERE f.equipment_id = c.equipment_id AND f.available_at <= %(moment)s
                AND c.window_end < coalesce(f.repaired_at, f.failed_at) + interval '2 hours'
                AND f.failed_at < c.window_end + %(clear)s
        ) AS near_failure
    FROM ml.scores AS c
    JOIN ml.scores AS p USING (equipment_id, window_end)
    WHERE c.role = 'challenger' AND c.model_version = %(challenger)s AND c.superseded_at IS NULL
        AND p.role = 'champion' AND p.model_version = %(champion)s AND p.superseded_at IS NULL
        AND c.window_end > %(since)s AND c.window_end <= %(moment)s
)
SELECT count(*),
    avg((challenger >= %(alert)s)::int) FILTER (WHERE before_failure),
    avg((champion >= %(alert)s)::int) FILTER (WHERE before_failure),
    avg((challenger >= %(alert)s)::int) FILTER (WHERE NOT near_failure),
    avg((champion >= %(alert)s)::int) FILTER (WHERE NOT near_failure)
FROM both_scored
"""


def _judge(
    connection: psycopg.Connection, challenger: str, champion: str | None, moment: datetime, policy: Policy
) -> Decision:
    row = connection.execute(
        "SELECT max(moment) FROM ml.promotions WHERE gate = 'challenger' AND criterion = 'decision'"
        " AND decision = 'challenger' AND candidate_version = %s",
        (challenger,),
    ).fetchone()
    since = row[0] if row else None
    if since is None:
        words = f"version {challenger} never passed gate 1: its alias was set by hand"
        return Decision("promote", "undecided", challenger, champion, words)
    hours = (moment - since).total_seconds() / 3600
    measured = connection.execute(
        _SHADOW,
        {
            "moment": moment, "since": since, "challenger": challenger, "champion": champion or "",
            "alert": evaluation.ALERT_THRESHOLD, "ahead": timedelta(hours=policy.positive_hours),
            "clear": timedelta(days=policy.clear_days),
        },
    ).fetchone()  # fmt: skip
    assert measured is not None  # an aggregate always answers
    windows, recall, their_recall, false_rate, their_false_rate = (None if v is None else float(v) for v in measured)
    waiting = (
        _at_least("shadow_hours", hours, None, policy.shadow_hours),
        _at_least("shadow_windows", windows, None, float(policy.min_shadow_windows)),
    )
    bound = None if their_recall is None else their_recall - policy.margin
    rate_bound = min(policy.max_false_alarm_rate, (their_false_rate or 0.0) + policy.margin)
    judged = (
        _at_least("shadow_recall", recall, their_recall, bound),
        _at_most("shadow_false_alarm_rate", false_rate if windows else 0.0, their_false_rate, rate_bound),
    )
    criteria = (*waiting, *judged)
    if any(not c.passed for c in waiting):
        words = "; ".join(c.reason for c in waiting if not c.passed)
        return Decision("promote", "undecided", challenger, champion, words, criteria)
    if any(not c.passed for c in judged):
        words = "; ".join(c.reason for c in judged if not c.passed)
        return Decision("promote", "undecided", challenger, champion, f"it stays challenger: {words}", criteria)
    words = "; ".join(c.reason for c in criteria)
    return Decision("promote", "champion", challenger, champion, words, criteria)


def rollback(settings: Settings, moment: datetime, by: str, reason: str) -> Decision:
    """Make the previous champion champion again; the one that goes stays in the registry without an alias."""
    known = registry.aliases(settings)
    champion, previous = known[registry.CHAMPION], known[registry.PREVIOUS]
    if previous is None:
        raise RegistryError("there is no previous champion to go back to; python -m ml history lists the versions")
    with connect(settings, Role.SCORE) as connection:
        registry.set_aliases(settings, {registry.CHAMPION: previous, registry.PREVIOUS: None})
        return _record(connection, Decision("rollback", "previous", previous, champion, reason), moment, by)


def history(settings: Settings, limit: int = 20) -> list[dict[str, Any]]:
    """The last decisions of every gate, newest first."""
    with connect(settings, Role.SCORE) as connection:
        rows = connection.execute(
            "SELECT moment, gate, candidate_version, champion_version, decision, decided_by, reason FROM ml.promotions"
            " WHERE criterion = 'decision' ORDER BY promotion_id DESC LIMIT %s",
            (limit,),
        )
        names = ("moment", "gate", "candidate", "champion", "decision", "by", "reason")
        return [dict(zip(names, row, strict=True)) for row in rows]


def _record(connection: psycopg.Connection, decision: Decision, moment: datetime, by: str = "gate") -> Decision:
    passed = decision.outcome in ("challenger", "champion", "previous")
    rows = [
        (c.name, c.candidate, c.champion, c.bound, c.passed, None, c.reason) for c in decision.criteria
    ] + [("decision", None, None, None, passed, decision.outcome, decision.reason)]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ml.promotions (moment, gate, candidate_version, champion_version, criterion, candidate_value,"
            " champion_value, bound, passed, decision, reason, decided_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (moment, decision.gate, decision.candidate_version, decision.champion_version, *row, by)
                for row in rows
            ],
        )  # fmt: skip
    return decision
