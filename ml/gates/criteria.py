"""What a gate writes down: a row of `ml.promotions` for every figure, passed or not, and one for the decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

PASSING = ("challenger", "champion", "previous")
_COLUMNS = (
    "criterion, candidate_value, champion_value, bound, passed, reason, decision, candidate_version, champion_version,"
    " training_id"
)


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
    """What a gate came to: `outcome` is challenger, champion, refused, undecided, dismissed or previous."""

    gate: str
    outcome: str
    candidate_version: str | None
    champion_version: str | None
    reason: str
    criteria: tuple[Criterion, ...] = ()
    training_id: str | None = None


def at_least(name: str, value: float | None, champion: float | None, bound: float | None) -> Criterion:
    """Passed from `bound` on, or where there is no bound; an unknown value misses any."""
    if bound is None:
        return Criterion(name, value, champion, None, True, f"{name} {say(value)}, nothing to compare with")
    passed = value is not None and value >= bound
    word = "reaches" if passed else "misses"
    return Criterion(name, value, champion, bound, passed, f"{name} {say(value)} {word} {say(bound)}{_than(champion)}")


def at_most(name: str, value: float | None, champion: float | None, bound: float) -> Criterion:
    """Passed up to `bound`; an unknown value breaks any."""
    passed = value is not None and value <= bound
    word = "keeps within" if passed else "breaks"
    return Criterion(name, value, champion, bound, passed, f"{name} {say(value)} {word} {say(bound)}{_than(champion)}")


def _than(champion: float | None) -> str:
    return "" if champion is None else f" (champion {say(champion)})"


def say(value: float | None) -> str:
    """A figure for people: four digits, of a count all."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def words(criteria: Iterable[Criterion]) -> str:
    """Their reasons, one after another."""
    return "; ".join(c.reason for c in criteria)


def record(connection: psycopg.Connection, decision: Decision, moment: datetime, by: str = "gate") -> Decision:
    """One row a criterion, then the decision's; returns `decision`."""
    passed = decision.outcome in PASSING
    rows: list[tuple[Any, ...]] = [
        (c.name, c.candidate, c.champion, c.bound, c.passed, None, c.reason) for c in decision.criteria
    ]
    rows.append(("decision", None, None, None, passed, decision.outcome, decision.reason))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ml.promotions (moment, gate, candidate_version, champion_version, criterion, candidate_value,"
            " champion_value, bound, passed, decision, reason, decided_by, training_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    moment, decision.gate, decision.candidate_version, decision.champion_version, *row, by,
                    decision.training_id,
                )
                for row in rows
            ],
        )  # fmt: skip
    return decision


def recorded(
    connection: psycopg.Connection,
    gate: str,
    moment: datetime,
    candidate: str | None = None,
    training_id: str | None = None,
    *,
    of_any: bool = False,
) -> Decision | None:
    """What `gate` decided for `moment` on a candidate and its training (or on `of_any`) before, with its criteria, or
    None.

    A training that was refused has no candidate, so that its id tells; rows from before ids were kept have none.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM ml.promotions WHERE gate = %(gate)s AND moment = %(moment)s"
        " AND (%(of_any)s OR candidate_version IS NOT DISTINCT FROM %(candidate)s"
        " AND (training_id IS NOT DISTINCT FROM %(training)s OR training_id IS NULL AND candidate_version IS NOT NULL))"
        " ORDER BY promotion_id",
        {"gate": gate, "moment": moment, "candidate": candidate, "training": training_id, "of_any": of_any},
    ).fetchall()
    if not rows or rows[-1][0] != "decision":
        return None
    *_, reason, outcome, version, champion, training = rows[-1]
    criteria = tuple(Criterion(*row[:6]) for row in rows if row[0] != "decision")
    return Decision(gate, outcome, version, champion, reason, criteria, training)


def history(connection: psycopg.Connection, limit: int) -> list[dict[str, Any]]:
    """The last `limit` decisions, newest first, each with its criteria."""
    decisions = connection.execute(
        "SELECT moment, gate, candidate_version, champion_version, decision, decided_by, reason, training_id"
        " FROM ml.promotions WHERE criterion = 'decision' ORDER BY promotion_id DESC LIMIT %s",
        (limit,),
    ).fetchall()
    names = ("moment", "gate", "candidate", "champion", "decision", "by", "reason", "training")
    rows = [dict(zip(names, row, strict=True)) for row in decisions]
    for row in rows:
        made = recorded(connection, row["gate"], row["moment"], row["candidate"], row["training"])
        row["criteria"] = made.criteria if made else ()
    return rows
