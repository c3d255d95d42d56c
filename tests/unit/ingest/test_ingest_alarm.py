"""The life of an alarm, whatever the values and timers do: one a cause, an emergency at once, nothing stale."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.alerting.alarm import CHATTER_US, Cause, Change, Cleared, Folded, Instant, Raised, Rules, rules_of
from ingest.limits import SEVERITIES, Limits

S = 1_000_000
HIGH = {"high": {"warning": 80, "critical": 85, "emergency": 90}}
LOW = {"low": {"warning": 20, "critical": 15, "emergency": 10}}


def rules(**limits: Any) -> Rules:
    return rules_of(Limits.model_validate(limits or HIGH))[0]


@dataclass
class Table:
    """The alerts that changes make, and what they may never do."""

    rows: list[tuple[str, int]] = field(default_factory=list)
    open: str | None = None
    folded: int = 0
    transitions: int = 0

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, Folded):
                assert self.rows
                self.folded += 1
                continue
            self.transitions += 1
            if isinstance(change, Cleared):
                assert self.open is not None
                self.open = None
                continue
            assert (change.replaces is None) == (self.open is None)
            if self.open is not None:
                severer = SEVERITIES.index(change.severity) > SEVERITIES.index(self.open)
                assert change.severity != self.open
                assert change.replaces == ("escalated" if severer else "eased")
            self.open = change.severity
            self.rows.append((change.severity, change.source_us))


@dataclass
class Step:
    """A value, a bad reading (None) or a look at the clock, so many ms after the last."""

    gap_ms: int
    kind: str
    value: float


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([0, 1, 400, 1000, 5000, 9999, 20_000, 61_000, 200_000]),
        st.sampled_from(["value", "value", "value", "bad", "tick"]),
        st.sampled_from([70.0, 78.0, 79.0, 80.0, 80.5, 83.4, 84.0, 85.5, 88.0, 89.0, 90.0, 90.5, 99.0]),
    ),
    max_size=40,
)
PATIENCE = st.fixed_dictionaries(
    {
        "on_delay_s": st.sampled_from([0, 1, 10]),
        "off_delay_s": st.sampled_from([0, 2, 30]),
        "deduplication_s": st.sampled_from([0, 60, 300]),
    }
)


def play(cause: Cause, steps: Sequence[Step], ticks: bool = True) -> tuple[Table, list[Change], int]:
    """What a sequence does to the cause, checked step by step; the moment of its end in µs."""
    table, changes, now = Table(), list[Change](), 0
    for step in steps:
        now += step.gap_ms * 1000
        if step.kind == "tick":
            found = cause.expire(now) if ticks else []
        elif step.kind == "bad":
            cause.doubt()
            found = []
        else:
            found = cause.observe(step.value, Instant(now, now))
        table.apply(found)
        changes += found
        if step.kind == "value" and step.value > 90:
            assert table.open == "emergency", "an emergency is never delayed and never withheld"
    return table, changes, now


@given(STEPS, PATIENCE)
def test_nothing_is_stale_and_nothing_withheld_once_it_is_quiet(steps: list[Step], patience: dict[str, float]) -> None:
    cause = Cause(rules(**HIGH, **patience))
    table, _, now = play(cause, steps)
    # A last value that no hysteresis leaves undecided, and then only time.
    for last, severity in ((70.0, None), (83.0, "warning")):
        settled, later = cause.copy(), now + 1
        ended = Table(list(table.rows), table.open)
        ended.apply(settled.observe(last, Instant(later, later)))
        for _ in range(20):
            if (due := settled.due_us) is None:
                break
            ended.apply(settled.expire(due))
        assert settled.due_us is None
        assert ended.open == severity


@given(STEPS, PATIENCE)
def test_when_the_clock_is_looked_at_changes_nothing_but_how_soon_it_is_told(
    steps: list[Step], patience: dict[str, float]
) -> None:
    # A bad reading holds back what a look at the clock would have let go.
    steps = [step for step in steps if step.kind != "bad"]
    often, seldom = Cause(rules(**HIGH, **patience)), Cause(rules(**HIGH, **patience))
    _, told, now = play(often, steps)
    _, sooner, _ = play(seldom, steps, ticks=False)
    assert told + often.expire(now + 3600 * S) == sooner + seldom.expire(now + 3600 * S)


@given(STEPS, PATIENCE)
def test_no_alert_repeats_within_the_window_unless_it_is_severer(steps: list[Step], patience: dict[str, float]) -> None:
    cause = Cause(rules(**HIGH, **patience))
    _, changes, _ = play(cause, steps)
    asked = [change for change in changes if isinstance(change, Raised) and change.replaces != "eased"]
    for earlier, later in pairwise(asked):
        severer = SEVERITIES.index(later.severity) > SEVERITIES.index(earlier.severity)
        waited = later.source_us - earlier.source_us >= patience["deduplication_s"] * S
        assert severer or waited or later.severity == "emergency"


@given(st.lists(st.tuples(st.integers(1, 5000), st.sampled_from([70.0, 89.0, 95.0])), max_size=60))
def test_chatter_is_two_alerts_and_a_count(values: list[tuple[int, float]]) -> None:
    cause, now, flips, beyond = Cause(rules(high={"emergency": 90})), 0, 0, False
    changes: list[Change] = []
    for gap_ms, value in values:
        now += gap_ms * 1000
        changes += cause.observe(value, Instant(now, now))
        flips += beyond != (value > 90 or (beyond and value == 89.0))
        beyond = value > 90 or (beyond and value == 89.0)
    raised = [change.source_us for change in changes if isinstance(change, Raised)]
    # Over before anybody could know, and the third transition within a minute: that one stays.
    assert all(later - first >= CHATTER_US for first, later in zip(raised, raised[2:], strict=False))
    # What was held open ends once more, after each minute that was quiet: five minutes at most.
    assert flips <= len(changes) <= flips + 5
    if now < CHATTER_US:
        assert len(changes) == flips


@given(STEPS, PATIENCE, st.floats(60, 100))
def test_a_value_of_the_quiet_band_changes_nothing(steps: list[Step], patience: dict[str, float], value: float) -> None:
    cause = Cause(rules(**HIGH, **patience))
    _, _, now = play(cause, steps)
    before = [(standing.beyond, standing.since) for standing in cause.standing]
    lower, upper = cause.quiet
    other = cause.copy()
    other.observe(value, Instant(now, now))
    if lower <= value <= upper:
        assert [(standing.beyond, standing.since) for standing in other.standing] == [
            (beyond, since if not confirmed else None)
            for (beyond, since), confirmed in zip(
                before, [s.beyond == s.confirmed for s in other.standing], strict=True
            )
        ]
    else:
        assert [standing.beyond for standing in other.standing] != [beyond for beyond, _ in before]


@given(STEPS)
def test_low_limits_are_high_ones_upside_down(steps: list[Step]) -> None:
    upright = Cause(rules(hysteresis=2, on_delay_s=1, off_delay_s=2, **HIGH))
    mirrored = Cause(rules(hysteresis=2, on_delay_s=1, off_delay_s=2, **LOW))
    _, changes, _ = play(upright, steps)
    flipped = list[Change]()
    now = 0
    for step in steps:
        now += step.gap_ms * 1000
        if step.kind == "tick":
            flipped += mirrored.expire(now)
        elif step.kind == "bad":
            mirrored.doubt()
        else:
            flipped += mirrored.observe(100 - step.value, Instant(now, now))
    assert [type(change) for change in changes] == [type(change) for change in flipped]
    assert [c.severity for c in changes if isinstance(c, Raised)] == [
        c.severity for c in flipped if isinstance(c, Raised)
    ]


@given(STEPS, PATIENCE)
def test_late_values_change_nothing_by_themselves(steps: list[Step], patience: dict[str, float]) -> None:
    cause, now = Cause(rules(**HIGH, **patience)), 0
    for step in steps:
        now += step.gap_ms * 1000
        assert cause.observe(step.value, Instant(now, now + 600 * S, late=True)) == []
    # A timely value takes the place of what they left behind, before anything was made of it.
    assert cause.observe(70.0, Instant(now + 1, now + 600 * S)) == []
    assert cause.expire(now + 7200 * S) == []


@pytest.mark.parametrize("ahead_s", [-3600, 0, 3600])
def test_a_timer_ends_on_time_whatever_the_servers_clock_says(ahead_s: int) -> None:
    cause = Cause(rules(on_delay_s=10, **HIGH))
    assert cause.observe(81.0, Instant(ahead_s * S, 0)) == []
    assert cause.expire(10 * S - 1) == []
    assert cause.expire(10 * S) == [Raised("warning", 80.0, 81.0, (ahead_s + 10) * S)]


def test_an_escalation_during_the_on_delay_is_the_severer_alert_alone() -> None:
    cause = Cause(rules(on_delay_s=10, **HIGH))
    assert cause.observe(81.0, Instant(0, 0)) == []
    assert cause.observe(91.0, Instant(5 * S, 5 * S)) == [Raised("emergency", 90.0, 91.0, 5 * S)]
    assert cause.expire(60 * S) == []


def test_what_was_due_in_between_happens_in_its_order() -> None:
    cause = Cause(rules(on_delay_s=10, off_delay_s=1, **HIGH))
    for second, value in ((0, 81.0), (5, 86.0)):
        assert cause.observe(value, Instant(second * S, second * S)) == []
    assert cause.observe(70.0, Instant(16 * S, 16 * S)) == [
        Raised("warning", 80.0, 81.0, 10 * S),
        Raised("critical", 85.0, 86.0, 15 * S, "escalated"),
    ]
    assert cause.expire(17 * S) == [Cleared(17 * S)]


def test_a_restored_alarm_knows_what_is_open_and_what_was_raised() -> None:
    cause = Cause(rules())
    cause.adopt("critical", Instant(0, 0), "critical", 87.0)
    eased = cause.copy()
    assert eased.observe(81.0, Instant(S, S)) == [Raised("warning", 80.0, 87.0, S, "eased")]
    assert cause.observe(86.0, Instant(S, S)) == []
    assert cause.observe(70.0, Instant(2 * S, 2 * S)) == [Cleared(2 * S)]
    assert cause.observe(86.0, Instant(3 * S, 3 * S)) == [Folded()]
    assert cause.due_us == 300 * S
    assert cause.expire(300 * S) == [Raised("critical", 85.0, 86.0, 300 * S)]
