"""The life of one alarm, with time as an argument: from values and timers to what is raised, cleared and counted.

A cause is one direction of one tag, with up to three limits. It has at most one open alert, of the severest limit that
is confirmed: a severer one escalates it, a milder one eases it, and both are new alerts that take its place. A limit is
confirmed when the value has been beyond it for the on-delay (an emergency at once), and it is over when the value has
been back by the hysteresis for the off-delay. Within the de-duplication window nothing is raised that is not severer
than the last; what still stands at its end is. A limit that flips three times within a minute chatters: its alert stays
open, counting, until a minute was quiet. An emergency is never delayed and never withheld.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from ingest.limits import Direction, Limits, Severity

CHATTER_US: Final = 60_000_000
CHATTER_FLIPS: Final = 3
_NONE: Final = -1


class Instant(NamedTuple):
    """A moment by the server's clock and by ours (µs since 2000), which may differ: a delay is over when one says so.

    `late` is what was spooled for long: only our own clock, once everything has landed, may act upon it.
    """

    source_us: int
    local_us: int
    late: bool = False

    def plus(self, us: int) -> Instant:
        return Instant(self.source_us + us, self.local_us + us, self.late)


@dataclass(frozen=True)
class Raised:
    """A new alert; `replaces` says why it takes the place of the open one, if it does."""

    severity: Severity
    limit: float
    value: float
    source_us: int
    replaces: Literal["escalated", "eased"] | None = None


@dataclass(frozen=True)
class Cleared:
    """The open alert is over."""

    source_us: int


@dataclass(frozen=True)
class Folded:
    """A transition that is only counted on the cause's last alert."""


Change = Raised | Cleared | Folded


@dataclass(frozen=True)
class Level:
    """One limit, in the direction's own sense: beyond is above `at`, back is below `back`."""

    severity: Severity
    limit: float
    at: float
    back: float
    on_delay_us: int


@dataclass(frozen=True)
class Rules:
    """The limits of a cause, from mild to severe, and how patient it is. Times in µs."""

    direction: Direction
    levels: tuple[Level, ...]
    off_delay_us: int = 0
    deduplication_us: int = 300_000_000

    @property
    def sign(self) -> float:
        return -1.0 if self.direction == "low" else 1.0


def rules_of(limits: Limits) -> list[Rules]:
    """A cause's rules for each direction that has limits."""
    found = []
    for direction in ("high", "low", "rising", "falling"):
        sign = -1.0 if direction == "low" else 1.0
        levels = tuple(
            Level(
                severity,
                value,
                sign * value,
                sign * value - limits.margin(direction, value),
                0 if severity == "emergency" else round(limits.on_delay_s * 1e6),
            )
            for severity, value in limits.bounds(direction).given()
        )
        if levels:
            found.append(Rules(direction, levels, round(limits.off_delay_s * 1e6), round(limits.deduplication_s * 1e6)))
    return found


@dataclass
class _Standing:
    """One limit: where the value is, what is confirmed, and since when the two differ."""

    beyond: bool = False
    confirmed: bool = False
    since: Instant | None = None
    value: float = 0.0  # the one that went beyond
    flips: tuple[Instant, ...] = ()  # the last confirmed changes


@dataclass
class Cause:
    """The alarm of one direction of one tag."""

    rules: Rules
    standing: list[_Standing] = field(default_factory=list)
    open: int = _NONE  # level of the open alert
    raised: Instant | None = None  # the last alert that was raised, and its level
    raised_level: int = _NONE

    def __post_init__(self) -> None:
        if not self.standing:
            self.standing = [_Standing() for _ in self.rules.levels]

    def copy(self) -> Cause:
        """One to try a landing on, while this stays what is committed."""
        return replace(self, standing=[replace(standing) for standing in self.standing])

    def adopt(
        self,
        severity: Severity | None,
        raised: Instant | None = None,
        raised_severity: Severity | None = None,
        value: float = 0.0,
    ) -> None:
        """Take up what the warehouse knows: the open alert and its value, and the last alert that was raised.

        Of the tag only what an open alert implies is assumed; the next value decides.
        """
        known = self._level(severity)
        if known > self.open:
            for standing in self.standing[: known + 1]:
                standing.beyond = standing.confirmed = True
                standing.since, standing.value = None, value
        self.open = known
        if raised is not None:
            self.raised, self.raised_level = raised, self._level(raised_severity)

    def observe(self, value: float, at: Instant, certain: bool = True) -> list[Change]:
        """A value of `at`, no older than the one before; a late one is noted and changes nothing by itself.

        One that isn't certain can go beyond a limit and not come back: a sensor at the end of its range says so.
        """
        changes = [] if at.late else self._advance(lambda due: not due.late and due.source_us <= at.source_us)
        if not certain:
            self.doubt()
        signed = self.rules.sign * value
        for level, standing in zip(self.rules.levels, self.standing, strict=True):
            beyond = signed > level.at or (standing.beyond and (signed >= level.back or not certain))
            if beyond != standing.beyond:
                standing.beyond = beyond
                standing.since = at if beyond != standing.confirmed else None
                if beyond:
                    standing.value = value
        if not at.late:
            changes += self._advance(lambda due: not due.late and due.source_us <= at.source_us)
        return changes

    def doubt(self) -> None:
        """A reading that is not good: what was about to clear waits for a good one."""
        for standing in self.standing:
            if standing.confirmed and not standing.beyond:
                standing.beyond, standing.since = True, None

    def expire(self, local_us: int) -> list[Change]:
        """What is due by our clock without any new value."""
        return self._advance(lambda due: due.local_us <= local_us)

    @property
    def due_us(self) -> int | None:
        """When by our clock something may change without a value."""
        return min((due.local_us for due, _ in self._dues()), default=None)

    @property
    def quiet(self) -> tuple[float, float]:
        """The values, both included, that would change nothing."""
        levels = list(zip(self.rules.levels, self.standing, strict=True))
        top = min((level.at for level, standing in levels if not standing.beyond), default=float("inf"))
        bottom = max((level.back for level, standing in levels if standing.beyond), default=float("-inf"))
        return (bottom, top) if self.rules.sign > 0 else (-top, -bottom)

    @property
    def clearing(self) -> bool:
        """Whether something is about to clear, so that a bad reading matters."""
        return any(standing.confirmed and not standing.beyond for standing in self.standing)

    @property
    def beyond(self) -> bool:
        """Whether the value is beyond any limit."""
        return any(standing.beyond for standing in self.standing)

    def _level(self, severity: Severity | None) -> int:
        names = [level.severity for level in self.rules.levels]
        return names.index(severity) if severity in names else _NONE

    def _worst(self) -> int:
        return max((number for number, standing in enumerate(self.standing) if standing.confirmed), default=_NONE)

    def _dues(self) -> list[tuple[Instant, int]]:
        """What waits, with its level, or none for a look at the whole."""
        dues = [
            (standing.since.plus(level.on_delay_us if standing.beyond else self.rules.off_delay_us), number)
            for number, (level, standing) in enumerate(zip(self.rules.levels, self.standing, strict=True))
            if standing.since is not None
        ]
        worst = self._worst()
        if worst > self.open and self.raised is not None:
            dues.append((self.raised.plus(self.rules.deduplication_us), _NONE))
        elif worst < self.open and self.standing[self.open].flips:
            dues.append((self.standing[self.open].flips[-1].plus(CHATTER_US), _NONE))
        return dues

    def _advance(self, reached: Callable[[Instant], bool]) -> list[Change]:
        changes: list[Change] = []
        while dues := [(due, number) for due, number in self._dues() if reached(due)]:
            at = min(due for due, _ in dues)
            # All that falls into one moment is one step: a jump over three limits is one alert.
            flipped = [number for due, number in dues if number != _NONE and due.source_us == at.source_us]
            for number in flipped:
                standing = self.standing[number]
                standing.confirmed, standing.since = standing.beyond, None
                standing.flips = (*standing.flips, at)[-CHATTER_FLIPS:]
            changes += self._judge(at, flipped)
        return changes

    def _judge(self, at: Instant, flipped: Sequence[int]) -> list[Change]:
        worst, before = self._worst(), self.open
        if worst > before and not self._repeats(worst, at):
            self.open = self.raised_level = worst
            self.raised = at
            return [self._raise(worst, at, None if before == _NONE else "escalated")]
        if worst < before and not self._chatters(before, at):
            self.open = worst
            return [Cleared(at.source_us) if worst == _NONE else self._raise(worst, at, "eased")]
        # Counted is what the last alert is about, not the milder limits below it.
        last = before if before != _NONE else self.raised_level
        return [Folded() for number in flipped if number >= last != _NONE]

    def _raise(self, number: int, at: Instant, why: Literal["escalated", "eased"] | None) -> Raised:
        level = self.rules.levels[number]
        return Raised(level.severity, level.limit, self.standing[number].value, at.source_us, why)

    def _repeats(self, number: int, at: Instant) -> bool:
        if self.raised is None or number > self.raised_level or self.rules.levels[number].severity == "emergency":
            return False
        return at.source_us < self.raised.source_us + self.rules.deduplication_us

    def _chatters(self, number: int, at: Instant) -> bool:
        flips = self.standing[number].flips
        return len(flips) == CHATTER_FLIPS and at.source_us < flips[0].source_us + CHATTER_US
