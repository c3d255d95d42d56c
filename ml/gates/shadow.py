"""What champion and challenger said of the same live time, and what became of it: the figures of gate 2.

Failures, false alarms, chatter, answers that both would have got, and, where a share of machine-weeks is drawn for the
challenger, the answers to its own recommendations. The evidence is sequential: `ml.gates.sequential`, ADR 30.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml.calibration import ALERT_THRESHOLD
from ml.episodes import MERGE_MINUTES
from ml.features import from_micros, micros
from ml.gates import sequential
from ml.gates.criteria import Criterion, Decision, at_least, at_most, say, words
from ml.gates.evaluation import CHATTER
from ml.labels import HOUR, events, judgments
from ml.policy import Policy

# A machine-day or a failure counts where both scored about the same windows of it.
COVERED = 0.9
# Fewer answers on which both agree say nothing.
ENOUGH_ANSWERS = 10
# Four kinds of evidence may refuse a challenger, each with a quarter of the error.
REFUSALS = 4
DAY = timedelta(days=1)
Stretch = tuple[int, int]  # when a fault was told and when it was over, microseconds

_DAYS = """
SELECT equipment_id, date_trunc('day', window_end, 'UTC'),
    count(*) FILTER (WHERE role = 'challenger'), count(*) FILTER (WHERE role = 'champion'),
    count(*) FILTER (WHERE role = 'challenger' AND anomaly_score >= %(alert)s),
    count(*) FILTER (WHERE role = 'champion' AND anomaly_score >= %(alert)s)
FROM ml.scores
WHERE superseded_at IS NULL AND window_end > %(since)s AND window_end <= %(moment)s
    AND (role, model_version) IN (('challenger', %(challenger)s), ('champion', %(champion)s))
GROUP BY 1, 2
ORDER BY 2, 1
"""
# Of machine-days those on which an alarm came on as often as a chattering one does, by every minute that was scored:
# the rows that a training draws lie ten minutes apart and show none of it. Episodes are those of `ml.episodes`.
_CHATTER = """
WITH scored AS (
    SELECT d.number, s.role, s.window_end, s.anomaly_score >= %(alert)s AS raised
    FROM unnest(%(machines)s::text[], %(days)s::timestamptz[]) WITH ORDINALITY AS d (equipment_id, day, number)
    JOIN ml.scores AS s ON s.equipment_id = d.equipment_id AND s.window_end >= d.day
        AND s.window_end < d.day + interval '24 hours'
    WHERE s.superseded_at IS NULL AND s.window_end > %(since)s AND s.window_end <= %(moment)s
        AND (s.role, s.model_version) IN (('challenger', %(challenger)s), ('champion', %(champion)s))
),
steps AS (
    SELECT number, role, window_end, raised AND lag(raised) OVER steps IS NOT TRUE AS comes_on,
        raised AND (window_end - max(window_end) FILTER (WHERE raised) OVER (
            steps ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) <= %(merge)s) IS NOT TRUE AS begins
    FROM scored WINDOW steps AS (PARTITION BY number, role ORDER BY window_end)
),
numbered AS (
    SELECT number, role, comes_on,
        count(*) FILTER (WHERE begins) OVER (PARTITION BY number, role ORDER BY window_end) AS episode
    FROM steps
),
chattering AS (
    SELECT number, role FROM numbered
    GROUP BY number, role, episode
    HAVING count(*) FILTER (WHERE comes_on) >= %(chatter)s
)
SELECT DISTINCT number - 1, role FROM chattering
"""
_FAILURES = """
SELECT count(*) FILTER (WHERE s.role = 'challenger'), count(*) FILTER (WHERE s.role = 'champion'),
    coalesce(bool_or(s.anomaly_score >= %(alert)s) FILTER (WHERE s.role = 'challenger'), false),
    coalesce(bool_or(s.anomaly_score >= %(alert)s) FILTER (WHERE s.role = 'champion'), false)
FROM unnest(%(machines)s::text[], %(from)s::timestamptz[], %(to)s::timestamptz[])
    WITH ORDINALITY AS e (equipment_id, since, until, number)
JOIN ml.scores AS s ON s.equipment_id = e.equipment_id AND s.window_end > e.since AND s.window_end <= e.until
WHERE s.superseded_at IS NULL
    AND (s.role, s.model_version) IN (('challenger', %(challenger)s), ('champion', %(champion)s))
GROUP BY e.number
ORDER BY e.number
"""
# Recommendations that were shown since the shadow began and are judged: by whom, whether right, and whether the
# challenger raised the champion's as well.
_ANSWERS = """
SELECT r.published_by, v.label = 'true_positive', coalesce(c.anomaly_score >= %(alert)s, false), count(*)
FROM ml.verdicts_at(%(moment)s) AS v
JOIN ml.recommendations AS r ON r.equipment_id = v.equipment_id AND r."timestamp" = v.to_ts AND r.held_reason IS NULL
LEFT JOIN ml.scores AS c ON c.equipment_id = v.equipment_id AND c.window_end = v.to_ts AND c.role = 'challenger'
    AND c.model_version = %(challenger)s AND c.superseded_at IS NULL
WHERE v.label <> 'undecided' AND v.to_ts > %(since)s AND v.to_ts <= %(moment)s
    AND (r.published_by, r.model_version) IN (('challenger', %(challenger)s), ('champion', %(champion)s))
GROUP BY 1, 2, 3
"""


@dataclass(frozen=True)
class Pairs:
    """What both said of the same things: one entry a thing, 1 where it was raised."""

    challenger: NDArray[np.float64]
    champion: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.champion)

    def shares(self) -> tuple[float | None, float | None]:
        """How often each raised, or None where there is nothing."""
        return (float(self.challenger.mean()), float(self.champion.mean())) if len(self) else (None, None)


@dataclass(frozen=True)
class Answers:
    """Judged recommendations: right and wrong ones."""

    right: int = 0
    wrong: int = 0

    def __add__(self, other: Answers) -> Answers:
        return Answers(self.right + other.right, self.wrong + other.wrong)

    def __len__(self) -> int:
        return self.right + self.wrong

    @property
    def precision(self) -> float | None:
        return self.right / len(self) if len(self) else None


@dataclass(frozen=True)
class Watched:
    """What a challenger's time in the shadow came to."""

    hours: float
    windows: int
    failures: Pairs
    false_days: Pairs  # machine-days that nothing came of, 1 where an alarm was raised on it
    false_alarm_rate: tuple[float | None, float | None]  # share of those days' windows
    chatter: Pairs  # machine-days, 1 where an alarm chattered on it
    answered: Answers  # the champion's recommendations
    agreed: Answers  # those of them that the challenger raised too
    own: Answers  # the challenger's, in machine-weeks drawn for it


def watch(
    connection: psycopg.Connection, challenger: str, champion: str, since: datetime, moment: datetime, policy: Policy
) -> Watched:
    """Read what both scored after `since` up to `moment`, and what is known at `moment` to have come of it."""
    parameters = {
        "challenger": challenger, "champion": champion, "since": since, "moment": moment, "alert": ALERT_THRESHOLD,
    }  # fmt: skip
    known = events(connection, moment)
    by_machine: dict[str, list[Stretch]] = {}
    for event in known:
        by_machine.setdefault(event.equipment_id, []).append((event.at, event.over))
    for answer in judgments(connection, moment):
        # Something came of what was confirmed, though no failure and no work order tell of it.
        if answer.label == "true_positive":
            by_machine.setdefault(answer.equipment_id, []).append((answer.until, answer.until + 24 * HOUR))
    days = connection.execute(_DAYS, parameters).fetchall()
    ahead = int(policy.positive_hours * HOUR)
    due = [e for e in known if e.at - ahead >= micros(since) and e.at <= micros(moment)]
    seen = connection.execute(
        _FAILURES,
        parameters | {
            "machines": [e.equipment_id for e in due],
            "from": [from_micros(e.at - ahead) for e in due], "to": [from_micros(e.at) for e in due],
        },
    ).fetchall()  # fmt: skip
    seen = [row for row in seen if _covered(row[0], row[1])]
    clear = [
        row for row in days
        if _covered(row[2], row[3]) and _clear(row[1], by_machine.get(row[0], []), moment, policy)
    ]  # fmt: skip
    whole = [row for row in days if _covered(row[2], row[3]) and row[1] + DAY <= moment]
    noisy = [index for index, row in enumerate(whole) if max(row[4], row[5]) >= CHATTER]
    chattered = connection.execute(
        _CHATTER,
        parameters | {
            "machines": [whole[index][0] for index in noisy], "days": [whole[index][1] for index in noisy],
            "merge": timedelta(minutes=MERGE_MINUTES), "chatter": CHATTER,
        },
    ).fetchall()  # fmt: skip
    chattering = {(noisy[number], role) for number, role in chattered}
    answers = {key: Answers() for key in ("answered", "agreed", "own")}
    for published_by, right, raised, count in connection.execute(_ANSWERS, parameters):
        given = Answers(count, 0) if right else Answers(0, count)
        if published_by == "challenger":
            answers["own"] += given
        else:
            answers["answered"] += given
            answers["agreed"] += given if raised else Answers()
    judged = (sum(row[2] for row in clear), sum(row[3] for row in clear))
    return Watched(
        hours=(moment - since).total_seconds() / 3600,
        windows=sum(min(row[2], row[3]) for row in days),
        failures=_pairs([row[2] for row in seen], [row[3] for row in seen]),
        false_days=_pairs([row[4] > 0 for row in clear], [row[5] > 0 for row in clear]),
        false_alarm_rate=(
            sum(row[4] for row in clear) / judged[0] if judged[0] else None,
            sum(row[5] for row in clear) / judged[1] if judged[1] else None,
        ),
        chatter=_pairs(*([(n, role) in chattering for n in range(len(whole))] for role in ("challenger", "champion"))),
        **answers,
    )


def _pairs(challenger: list[bool], champion: list[bool]) -> Pairs:
    return Pairs(np.array(challenger, dtype=float), np.array(champion, dtype=float))


def _covered(challenger: int, champion: int) -> bool:
    return champion > 0 and challenger > 0 and min(challenger, champion) >= COVERED * max(challenger, champion)


def _clear(day: datetime, known: list[Stretch], moment: datetime, policy: Policy) -> bool:
    """Whether no known fault of a machine was on in its day or came within `outcome_days`, which must be over."""
    until = day + DAY + timedelta(days=policy.outcome_days)
    first, last, end = micros(day), micros(day + DAY), micros(until)
    return until <= moment and not any(
        first <= at < end or (at < last and over + 2 * HOUR > first) for at, over in known
    )


def judge(watched: Watched, challenger: str, champion: str, policy: Policy) -> Decision:
    """Champion where it is shown to be no worse, refused where it is shown to be worse, else undecided."""
    failures, days = watched.failures, watched.false_days
    waiting = (
        at_least("shadow_hours", watched.hours, None, policy.shadow_hours),
        at_least("shadow_windows", float(watched.windows), None, float(policy.min_shadow_windows)),
    )
    seen = failures.challenger - failures.champion
    quiet = days.champion - days.challenger
    steady = watched.chatter.champion - watched.chatter.challenger
    for_it = (
        *_evidence("failures", f"{len(failures)} failures", failures, seen, policy.failure_margin, policy),
        *_evidence("false_alarms", f"{len(days)} clear machine-days", days, quiet, policy.false_alarm_margin, policy),
        *_evidence(
            "chatter", f"{len(watched.chatter)} machine-days looked at for chatter", watched.chatter, steady,
            policy.false_alarm_margin, policy, did="chattered on",
        ),
    )  # fmt: skip
    rate, their_rate = watched.false_alarm_rate
    judged = (
        *(c for c in for_it if not c.name.endswith("_against")),
        # Without a clear day there is no rate, and the evidence on false alarms says that it waits.
        *((at_most("false_alarm_rate", rate, their_rate, policy.max_false_alarm_rate),) if rate is not None else ()),
        _agreed(watched, policy),
    )
    against = (*(c for c in for_it if c.name.endswith("_against")), _own(watched, policy))
    criteria = (*waiting, *judged, *against)

    def decided(outcome: str, reason: str) -> Decision:
        return Decision("promote", outcome, challenger, champion, reason, criteria)

    if failed := [c for c in waiting if not c.passed]:
        return decided("undecided", words(failed))
    if failed := [c for c in against if not c.passed]:
        return decided("refused", f"clearly worse, it loses its place: {words(failed)}")
    if failed := [c for c in judged if not c.passed]:
        return decided("undecided", f"it stays challenger: {words(failed)}")
    return decided("champion", words(criteria))


def _evidence(
    name: str,
    things: str,
    pairs: Pairs,
    differences: NDArray[np.float64],
    margin: float,
    policy: Policy,
    did: str = "raised",
) -> tuple[Criterion, Criterion, Criterion]:
    """The shares, the evidence that it is no worse by `margin` than the champion, and the evidence that it is."""
    own, theirs = pairs.shares()
    needed, limit = 1 / policy.shadow_error, REFUSALS / policy.shadow_error
    no_worse, worse = sequential.not_worse(differences, margin), sequential.worse(differences, margin)
    enough = no_worse >= needed
    return (
        Criterion(
            f"{name}_share", own, theirs, None, True,
            f"of {things} the challenger {did} {say(own)}, the champion {say(theirs)}",
        ),
        Criterion(
            f"{name}_evidence", no_worse, None, needed, enough,
            f"{things}: evidence that it is not worse by more than {margin:g} {'reached' if enough else 'is at'} "
            f"{say(no_worse)} of {say(needed)}",
        ),
        Criterion(
            f"{name}_against", worse, None, limit, worse < limit,
            f"{things}: evidence that it is worse by more than {margin:g} is at {say(worse)} of {say(limit)}",
        ),
    )  # fmt: skip


def _agreed(watched: Watched, policy: Policy) -> Criterion:
    """Of the champion's judged recommendations the challenger must not keep the wrong ones and drop the right ones."""
    theirs = watched.answered.precision
    enough = len(watched.agreed) >= ENOUGH_ANSWERS and theirs is not None
    bound = theirs - policy.max_precision_loss if enough and theirs is not None else None
    found = at_least("agreed_precision", watched.agreed.precision, theirs, bound)
    tell = f"{found.reason}: {len(watched.agreed)} of {len(watched.answered)} judged recommendations it raised as well"
    return Criterion(found.name, found.candidate, found.champion, found.bound, found.passed, tell)


def _own(watched: Watched, policy: Policy) -> Criterion:
    """Precision of what was shown of its own against the champion's, by intervals that hold at every look."""
    own, theirs = watched.own, watched.answered
    if not len(own):
        reason = f"own_precision unknown: {policy.own_share:.0%} of machine-weeks are drawn for it, none was judged"
        return Criterion("own_precision", None, theirs.precision, None, True, reason)
    error = policy.shadow_error / REFUSALS / 2
    high = sequential.share(own.right, own.wrong, error)[1]
    low = sequential.share(theirs.right, theirs.wrong, error)[0]
    bound = low - policy.max_precision_loss
    passed = high >= bound
    reason = (
        f"own_precision {say(own.precision)} of {len(own)} in machine-weeks drawn with share {policy.own_share:g} "
        f"(at most {say(high)}) {'may reach' if passed else 'misses'} {say(bound)} (champion {say(theirs.precision)} "
        f"of {len(theirs)})"
    )
    return Criterion("own_precision", own.precision, theirs.precision, bound, passed, reason)
