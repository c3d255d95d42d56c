"""Gate 1 makes a candidate the challenger, gate 2 makes a challenger the champion. Every figure is a row.

Both write one row a criterion into `ml.promotions`, passed or not, and one named 'decision' that sums up in words.

Record and alias agree: a gate asks the registry itself, never what is remembered of it; writes its rows; moves the
aliases; and commits. Where an alias can't be moved, those that were are moved back and no row stays. What is left of a
crash between the two, or of a hand in the registry, is an alias that the record doesn't know: the next gate writes it
down as a decision of the registry's.

No version becomes champion that sees other features than the mart has: scoring would end with it. A challenger of that
kind, and one that a newer candidate follows undecided, loses its place with a row of the gate 'place'.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ml import registry
from ml.errors import ContractError, ModelError, RegistryError
from ml.gates import criteria, evaluation, shadow
from ml.gates.criteria import Criterion, Decision, at_least, at_most, record, recorded, words
from ml.policy import Policy
from ml.registry import CHALLENGER, CHAMPION, PREVIOUS, Aliases
from warehouse.roles import Role, connect
from warehouse.settings import Settings


def challenge(settings: Settings, training_id: str, moment: datetime, policy: Policy | None = None) -> Decision:
    """Gate 1: compare a training's candidate with the champion on the same held-out time.

    Repeated for the same moment it returns what it decided. Raises ModelError for an unknown training or where there
    is nothing to compare, RegistryError where the registry is away.
    """
    policy = policy or Policy()
    with _alone(settings, moment) as (connection, known):
        champion = known[CHAMPION]
        run = connection.execute(
            "SELECT outcome, reason, model_version, training_rows, positive_rows FROM ml.training_runs"
            " WHERE training_id = %s",
            (training_id,),
        ).fetchone()
        if run is None:
            last = connection.execute("SELECT training_id FROM ml.training_runs ORDER BY started_at DESC LIMIT 5")
            known_ones = ", ".join(name for (name,) in last) or "none; python -m ml train makes one"
            raise ModelError(f"there is no training {training_id!r}; the last ones are {known_ones}")
        outcome, reason, candidate, rows, positives = run
        if (before := recorded(connection, CHALLENGER, moment, candidate, training_id)) is not None:
            return before

        def decided(outcome: str, candidate: str | None, reason: str, found: tuple[Criterion, ...]) -> Decision:
            decision = Decision(CHALLENGER, outcome, candidate, champion, reason, found, training_id)
            return record(connection, decision, moment)

        size = (
            at_least("training_rows", rows, None, float(policy.min_training_rows)),
            at_least("positive_rows", positives, None, 1.0),
        )
        if outcome != "trained" or candidate is None:
            return decided("refused", None, f"no candidate: {reason}", size)
        if candidate == champion:
            raise ModelError(f"version {candidate} is the champion already; there is nothing to compare it with")
        if candidate == known[CHALLENGER] and (since := _challenger_since(connection, candidate)) is not None:
            # A second decision would begin its time in the shadow anew, and what was seen by then would not count.
            raise ModelError(
                f"version {candidate} is the challenger already, since {since:%Y-%m-%d}; python -m ml promote judges it"
            )
        own = evaluation.load(connection, training_id, candidate)
        theirs = evaluation.load(connection, training_id, champion) if champion else {}
        found = (
            *size,
            _comparable(settings, champion, theirs),
            *_figures(own, theirs, policy),
            _fits(settings, candidate),
            _place(connection, known[CHALLENGER], candidate, moment, policy),
        )
        if failed := [c for c in found if not c.passed]:
            return decided("refused", candidate, words(failed), found)
        if (holder := known[CHALLENGER]) not in (None, candidate):
            told = f"version {candidate} takes its place before gate 2 decided: {found[-1].reason}"
            record(connection, Decision("place", "dismissed", holder, champion, told), moment)
        told = words(c for c in found if c.name in ("precision", "recall", "false_alarm_rate"))
        decision = decided(CHALLENGER, candidate, told, found)
        _move(settings, known, {CHALLENGER: candidate})
        return decision


def _comparable(settings: Settings, champion: str | None, theirs: dict[str, float | None]) -> Criterion:
    """A champion that isn't the one that the training compared with was not judged on this time."""
    if champion is None:
        return Criterion("champion", None, None, None, True, "there is no champion to compare with")
    if theirs:
        return Criterion("champion", None, None, None, True, f"champion {champion} was judged on the same time")
    fits = _fits(settings, champion)
    if not fits.passed:
        reason = f"champion {champion} can't score the mart any more: {fits.reason}"
        return Criterion("champion", None, None, None, True, reason)
    reason = f"champion {champion} was not judged on this training's held-out time: train again"
    return Criterion("champion", None, None, None, False, reason)


def _figures(own: dict[str, float | None], theirs: dict[str, float | None], policy: Policy) -> list[Criterion]:
    return [
        *_found(own, theirs, policy),
        at_most(
            "false_alarm_rate", own.get("false_alarm_rate"), theirs.get("false_alarm_rate"), policy.max_false_alarm_rate
        ),
        _by_chance(own, theirs, "alarm_rate", better=-1),
        _by_chance(own, theirs, "chatter_rate", better=-1),
        at_most("latency_ms", own.get("latency_ms"), theirs.get("latency_ms"), policy.max_latency_ms),
        at_most("bundle_mb", own.get("bundle_mb"), None, policy.max_bundle_mb),
    ]


def _found(own: dict[str, float | None], theirs: dict[str, float | None], policy: Policy) -> list[Criterion]:
    """What was found of the faults, and how much of what was raised was one. Weeks without a fault tell neither."""
    precision, recall = theirs.get("precision"), theirs.get("recall")
    least = None if precision is None else precision - policy.max_precision_loss
    floor = max(policy.recall_floor, 0.0 if recall is None else recall - policy.margin)
    if own.get("positive_windows") == 0:
        none = "can't be judged: the held-out time has no labelled fault"
        return [
            Criterion(name, own.get(name), theirs.get(name), bound, True, f"{name} {none}")
            for name, bound in (("precision", least), ("precision_difference", 0.0), ("recall", floor))
        ]
    return [
        at_least("precision", own.get("precision"), precision, least),
        _by_chance(own, theirs, "precision", better=1),
        at_least("recall", own.get("recall"), recall, floor),
    ]


def _fits(settings: Settings, version: str) -> Criterion:
    """Whether a version sees the features that the mart has."""
    try:
        registry.load(settings, version)
    except ContractError as error:
        return Criterion("feature_contract", None, None, None, False, str(error))
    reason = f"the feature contract of version {version} is the mart's"
    return Criterion("feature_contract", None, None, None, True, reason)


def _by_chance(
    own: dict[str, float | None], theirs: dict[str, float | None], name: str, *, better: int
) -> Criterion:  # fmt: skip
    """Worse than the champion only where the whole interval of the paired difference says so; `better` is 1 or −1."""
    value, champion = own.get(name), theirs.get(name)
    low, high = own.get(f"{name}_difference_low"), own.get(f"{name}_difference_high")
    name = f"{name}_difference"
    if champion is None or low is None or high is None:
        return Criterion(name, value, champion, None, True, f"{name} unknown, nothing to compare with")
    passed = high >= 0 if better > 0 else low <= 0
    reason = (
        f"{name} {low:+.4g} to {high:+.4g} ({evaluation.LEVEL:.0%} of blocks redrawn): "
        f"{'not worse' if passed else 'worse'} than the champion's {criteria.say(champion)} beyond chance"
    )
    return Criterion(name, high if better > 0 else low, champion, 0.0, passed, reason)


def _place(
    connection: psycopg.Connection, holder: str | None, candidate: str, moment: datetime, policy: Policy
) -> Criterion:
    """The week's candidate must not take the place of a challenger that gate 2 is still watching."""
    if holder is None or holder == candidate:
        return Criterion("place", None, None, policy.challenger_days, True, "no challenger is being watched")
    since = _challenger_since(connection, holder)
    if since is None:
        reason = f"version {holder} never passed gate 1: its alias was set by hand"
        return Criterion("place", None, None, policy.challenger_days, True, reason)
    days = (moment - since) / timedelta(days=1)
    passed = days >= policy.challenger_days
    ends = since + timedelta(days=policy.challenger_days)
    reason = f"version {holder} is challenger since {since:%Y-%m-%d}" + (
        ", long enough" if passed else f" and keeps its place until it is judged, or {ends:%Y-%m-%d}"
    )
    return Criterion("place", None, days, policy.challenger_days, passed, reason)


def _challenger_since(connection: psycopg.Connection, version: str) -> datetime | None:
    row = connection.execute(
        "SELECT max(moment) FROM ml.promotions WHERE gate = 'challenger' AND criterion = 'decision'"
        " AND decision = 'challenger' AND candidate_version = %s",
        (version,),
    ).fetchone()
    return row[0] if row else None


def promote(
    settings: Settings,
    moment: datetime,
    policy: Policy | None = None,
    *,
    by: str | None = None,
    reason: str | None = None,
) -> Decision:
    """Gate 2: make the challenger champion once its time in the shadow carries it; undecided, it stays challenger.

    One that is shown to be worse, or that sees other features than the mart has, loses its alias. A person (`by`) may
    promote with a `reason`, which is recorded as theirs. Repeated for the same moment the gate returns what it decided
    and writes nothing. Raises ModelError where a person can't promote it: the row is kept.
    """
    policy = policy or Policy()
    if by is not None and not (reason or "").strip():
        raise ModelError("a promotion by hand needs a reason: --reason 'why'")
    if by is None and reason is not None:
        raise ModelError("a reason goes with a promotion by hand: --by-hand; the gate gives its own")
    with _alone(settings, moment) as (connection, known):
        champion, challenger = known[CHAMPION], known[CHALLENGER]
        if by is None and (before := recorded(connection, "promote", moment, None, of_any=True)) is not None:
            return before
        if challenger is None or challenger == champion:
            if by is not None:
                raise ModelError("there is no challenger to promote; python -m ml history lists the versions")
            return Decision("promote", "undecided", None, champion, "there is no challenger")
        fits = _fits(settings, challenger)
        if not fits.passed:
            gate = "manual" if by is not None else "promote"
            decision = Decision(gate, "refused", challenger, champion, _unscored(fits), (fits,))
        elif by is not None:
            decision = Decision("manual", CHAMPION, challenger, champion, str(reason))
        else:
            decision = _judge(connection, challenger, champion, moment, policy)
            decision = replace(decision, criteria=(*decision.criteria, fits))
        record(connection, decision, moment, by or "gate")
        if decision.outcome == CHAMPION:
            # What `previous` meant is in the record; a champion without a way back is what must not be.
            _move(settings, known, {PREVIOUS: champion, CHAMPION: challenger, CHALLENGER: None})
        elif decision.outcome == "refused":
            _move(settings, known, {CHALLENGER: None})
    if by is not None and not fits.passed:
        raise ContractError(decision.reason)
    return decision


def dismiss(settings: Settings, version: str, moment: datetime) -> Decision | None:
    """Take its place from a challenger that sees other features than the mart has, for it will never score again.

    None where `version` fits, or isn't challenger by now. Raises RegistryError where the registry is away.
    """
    with _alone(settings, moment) as (connection, known):
        fits = _fits(settings, version)
        if fits.passed or known[CHALLENGER] != version:
            return None
        decision = Decision("place", "dismissed", version, known[CHAMPION], _unscored(fits), (fits,))
        record(connection, decision, moment)
        _move(settings, known, {CHALLENGER: None})
        return decision


def _unscored(fits: Criterion) -> str:
    return f"nothing can be scored with it: {fits.reason}"


def _judge(
    connection: psycopg.Connection, challenger: str, champion: str | None, moment: datetime, policy: Policy
) -> Decision:
    since = _challenger_since(connection, challenger)
    if since is None:
        told = f"version {challenger} never passed gate 1: its alias was set by hand"
        return Decision("promote", "undecided", challenger, champion, told)
    if champion is None:
        told = "there is no champion to be compared with: a person may promote it"
        return Decision("promote", "undecided", challenger, champion, told)
    watched = shadow.watch(connection, challenger, champion, since, moment, policy)
    return shadow.judge(watched, challenger, champion, policy)


def rollback(settings: Settings, moment: datetime, by: str, reason: str) -> Decision:
    """Make the previous champion champion again; the one that goes stays in the registry without an alias.

    A blank `reason` is refused (ModelError), and so is a second rollback, which has nowhere to go back to
    (RegistryError). One to a version that sees other features than the mart has is refused: ContractError, and the row
    is kept.
    """
    if not reason.strip():
        raise ModelError("a rollback needs a reason: --reason 'why'")
    with _alone(settings, moment) as (connection, known):
        champion, previous = known[CHAMPION], known[PREVIOUS]
        if previous is None or previous == champion:
            raise RegistryError("there is no previous champion to go back to; python -m ml history lists the versions")
        fits = _fits(settings, previous)
        if fits.passed:
            decision = record(connection, Decision("rollback", PREVIOUS, previous, champion, reason), moment, by)
            _move(settings, known, {CHAMPION: previous, PREVIOUS: None})
            return decision
        decision = Decision("rollback", "refused", previous, champion, _unscored(fits), (fits,))
        record(connection, decision, moment, by)
    raise ContractError(decision.reason)


def history(settings: Settings, limit: int = 20) -> list[dict[str, Any]]:
    """The last decisions of every gate, newest first, each with its criteria."""
    with connect(settings, Role.SCORE) as connection:
        return criteria.history(connection, limit)


@contextmanager
def _alone(settings: Settings, moment: datetime) -> Iterator[tuple[psycopg.Connection, Aliases]]:
    """A transaction that no other gate runs beside, and the aliases as the registry itself has them."""
    with connect(settings, Role.SCORE) as connection:
        # Two gates at once would each decide on aliases that the other one moves.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('ml.gates'))")
        known = registry.ask(settings)
        _witness(connection, known[CHAMPION], moment)
        yield connection, known


def _witness(connection: psycopg.Connection, champion: str | None, moment: datetime) -> None:
    """Write down a champion that no gate made: somebody moved the alias, or a crash came between alias and record."""
    row = connection.execute(
        "SELECT candidate_version FROM ml.promotions WHERE criterion = 'decision'"
        " AND decision IN ('champion', 'previous') ORDER BY promotion_id DESC LIMIT 1"
    ).fetchone()
    last = row[0] if row else None
    if champion is None or champion == last:
        return
    told = f"the registry has version {champion} as champion where the record has {last or 'none'}"
    record(connection, Decision("registry", CHAMPION, champion, last, told), moment, "registry")


def _move(settings: Settings, known: Aliases, wanted: dict[str, str | None]) -> None:
    """Move aliases, all or none; raises RegistryError, on which the caller's transaction leaves no row either.

    What ends the task in the middle (its time is over, a signal) is raised as it is, once they are moved back.
    """
    try:
        registry.set_aliases(settings, wanted)
    except BaseException as error:  # whatever its client raises: the row must not outlive a move that failed
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        try:
            registry.set_aliases(settings, {alias: known[alias] for alias in wanted})
        except Exception as second:
            raise RegistryError(
                f"the model registry went away while aliases were moved ({cause}); nothing is recorded as decided, and"
                " the next gate records the champion that it finds: try again"
            ) from second
        if not isinstance(error, Exception):
            raise
        raise RegistryError(f"the model registry refused a move of aliases ({cause}); nothing was decided") from error
