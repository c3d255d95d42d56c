"""Whole batches at once find what value by value would: no crossing is missed by the fast look."""

from collections.abc import Iterator
from typing import cast
from unittest.mock import patch

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.alerting import alerts
from ingest.alerting.alarm import Cause, Change, Cleared, Instant, Raised, rules_of
from ingest.alerting.alarms import Alarms
from ingest.alerting.alerts import Watched, alert_text
from ingest.alerting.trend import Trend
from ingest.landing.events import prepare
from ingest.limits import Direction, Limits
from ingest.readings import NUMBER, Readings, empty_rows

S = 1_000_000
LIMITS = {
    1: Limits.model_validate({"high": {"warning": 80, "emergency": 90}, "on_delay_s": 3}),
    2: Limits.model_validate({"high": {"warning": 80}, "low": {"warning": 20, "critical": 10}, "off_delay_s": 3}),
    5: Limits.model_validate({"low": {"critical": 20}, "deduplication_s": 10}),
    7: Limits.model_validate({"high": {"warning": 85}, "rising": {"warning": 30}, "falling": {"critical": 40}}),
}
TAGS = [Watched(tag_id, "PUMP", "temperature", "", "°C") for tag_id in LIMITS]
UNCERTAIN = 0x40940000  # engineering units exceeded
NOWHERE = cast(psycopg.Connection, None)
Found = list[tuple[int, Direction, Change]]


class Recorder:
    """Takes the place of the table."""

    def __init__(self) -> None:
        self.found: Found = []

    def write(self, _connection: object, changes: list[tuple[Watched, Direction, Change]]) -> int:
        self.found += [(tag.tag_id, direction, change) for tag, direction, change in changes]
        return len(changes)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    with patch.object(alerts, "write", made.write), patch.object(alerts, "end_shelving", return_value=0):
        yield made


def batch(values: list[tuple[int, int, float, int]], received_us: int) -> Readings:
    """Values as (tag id, µs, value, status)."""
    rows = empty_rows(len(values))
    for row, (tag_id, at_us, value, status) in zip(rows, values, strict=True):
        row["tag_id"], row["source_ts"], row["value"], row["status"], row["kind"] = tag_id, at_us, value, status, NUMBER
    return Readings(rows, [], received_us, -(10**9))


def one_by_one(batches: list[tuple[list[tuple[int, int, float, int]], int]]) -> Found:
    """The same by each cause on its own, without any look at whole batches."""
    causes = {tag_id: [Cause(rules) for rules in rules_of(limits)] for tag_id, limits in LIMITS.items()}
    trend = Trend(60 * S)
    found: Found = []
    for values, received_us in batches:
        for tag_id, at_us, value, status in values:
            if tag_id in causes and status == UNCERTAIN:
                for cause in causes[tag_id]:
                    if cause.rules.direction in ("rising", "falling"):
                        cause.doubt()
                        continue
                    at = Instant(at_us, received_us)
                    found += [(tag_id, cause.rules.direction, c) for c in cause.observe(value, at, certain=False)]
                continue
            if status or tag_id not in causes:
                for cause in causes.get(tag_id, []):
                    cause.doubt()
                continue
            at = Instant(at_us, received_us)
            if tag_id == 7:
                trend.add(value, at, -(10**9))
            for cause in causes[tag_id]:
                direction = cause.rules.direction
                seen = {"rising": trend.rise_a_minute, "falling": trend.fall_a_minute} if tag_id == 7 else {}
                found += [(tag_id, direction, change) for change in cause.observe(seen.get(direction, value), at)]
        left = trend.expire(received_us)
        for tag_id, tags_causes in causes.items():
            for cause in tags_causes:
                direction = cause.rules.direction
                changes: list[Change] = []
                if direction in ("rising", "falling") and left is not None:
                    rate = trend.rise_a_minute if direction == "rising" else trend.fall_a_minute
                    changes += cause.observe(rate, left)
                changes += cause.expire(received_us)
                found += [(tag_id, direction, change) for change in changes]
    return found


VALUES = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 5, 7, 3, 900]),
        st.sampled_from([5.0, 15.0, 20.0, 20.2, 50.0, 79.0, 80.0, 80.5, 84.0, 86.0, 95.0]),
        st.sampled_from([0, 0, 0, 0x80000000, UNCERTAIN]),
    ),
    max_size=12,
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 20_000), VALUES), max_size=12))
def test_batches_find_what_value_by_value_finds(
    recorder: Recorder, steps: list[tuple[int, list[tuple[int, float, int]]]]
) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    recorder.found = []
    now, played = 0, []
    for gap_ms, values in steps:
        now += gap_ms * 1000 + 1000
        timed = [(tag, now - len(values) + n, value, status) for n, (tag, value, status) in enumerate(values)]
        played.append((timed, now))
        alarms.evaluate(NOWHERE, prepare(batch(timed, now)), now)
        alarms.settle()
    by_cause: dict[tuple[int, Direction], list[Change]] = {}
    for tag_id, direction, change in recorder.found:
        by_cause.setdefault((tag_id, direction), []).append(change)
    expected: dict[tuple[int, Direction], list[Change]] = {}
    for tag_id, direction, change in one_by_one(played):
        expected.setdefault((tag_id, direction), []).append(change)
    assert by_cause == expected


def test_a_delay_that_a_good_value_ends_is_over_before_a_bad_one_doubts_it(recorder: Recorder) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    recorder.found = []
    for values in ([(2, 0, 5.0, 0), (2, 1, 15.0, 0)], [(2, 4 * S, 15.0, 0), (2, 4 * S + 1, 5.0, 0x80000000)]):
        alarms.evaluate(NOWHERE, prepare(batch(values, values[-1][1])), values[-1][1])
        alarms.settle()
    assert [change for *_, change in recorder.found] == [
        Raised("critical", 10.0, 5.0, 0),
        Raised("warning", 20.0, 5.0, 3 * S + 1, "eased"),
    ]


def test_what_is_uncertain_raises_and_does_not_clear_and_a_placeholder_does_neither(recorder: Recorder) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    recorder.found = []
    placeholder = 0x40920000
    for second, (value, status) in enumerate(((99.0, placeholder), (99.0, UNCERTAIN), (50.0, UNCERTAIN), (50.0, 0))):
        alarms.evaluate(NOWHERE, prepare(batch([(1, second * S, value, status)], second * S)), second * S)
        alarms.settle()
    assert [change for *_, change in recorder.found] == [Raised("emergency", 90.0, 99.0, S), Cleared(3 * S)]


@pytest.mark.parametrize("off_s", [-18_000, -100, 100])
def test_a_clock_that_is_set_back_makes_the_alarms_deaf_for_seconds_at_most(recorder: Recorder, off_s: int) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    recorder.found = []
    for second in range(30):
        clock = (second + off_s) * S - (3600 * S if second >= 10 else 0)
        alarms.evaluate(
            NOWHERE, prepare(batch([(1, clock, 95.0 if second >= 21 else 50.0, 0)], second * S)), second * S
        )
        alarms.settle()
    assert [change.severity for *_, change in recorder.found if isinstance(change, Raised)] == ["emergency"]


def test_a_server_whose_clock_is_hours_behind_is_not_late(recorder: Recorder) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    recorder.found = []
    values = [(1, n - 18_000 * S, value, 0) for n, value in enumerate((50.0, 95.0, 50.0))]
    alarms.evaluate(NOWHERE, prepare(batch(values, S)), S)
    assert [type(change).__name__ for *_, change in recorder.found] == ["Raised", "Cleared"]


def test_a_replay_is_not_heard_twice(recorder: Recorder) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    recorder.found = []
    values = [(1, n, value, 0) for n, value in enumerate((50.0, 95.0, 50.0, 60.0))]
    for _ in range(3):
        alarms.evaluate(NOWHERE, prepare(batch(values, S)), S)
        alarms.settle()
    assert [type(change).__name__ for *_, change in recorder.found] == ["Raised", "Cleared"]


def test_a_landing_that_fails_is_forgotten(recorder: Recorder) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    crossing = prepare(batch([(1, S, 95.0, 0)], S))
    assert alarms.evaluate(NOWHERE, crossing, S) == 1
    alarms.forget()
    assert alarms.evaluate(NOWHERE, crossing, S) == 1
    alarms.settle()
    assert alarms.evaluate(NOWHERE, crossing, S) == 0


def test_of_two_values_at_one_time_the_worse_is_the_last(recorder: Recorder) -> None:
    alarms = Alarms("main", list(zip(TAGS, LIMITS.values(), strict=True)))
    both = [(1, S, 95.0, 0), (1, S, 70.0, 0), (5, S, 10.0, 0), (5, S, 70.0, 0)]
    for values in (both, both[::-1]):
        recorder.found = []
        alarms.evaluate(NOWHERE, prepare(batch(values, S)), S)
        assert [(tag_id, type(change).__name__) for tag_id, _, change in recorder.found] == [
            (1, "Raised"),
            (5, "Raised"),
        ]
        alarms.forget()


@pytest.mark.parametrize(
    ("direction", "value", "limit", "text"),
    [
        ("high", 91.23, 90.0, "temperature (drive end) 91.2 °C above its critical limit 90 °C"),
        ("high", 90.004, 90.0, "temperature (drive end) 90.004 °C above its critical limit 90 °C"),
        ("low", -4.0, 0.5, "temperature (drive end) -4.0 °C below its critical limit 0.5 °C"),
        ("falling", 12.5, 10.0, "temperature (drive end) falls by 12.5 °C/min above its critical limit 10 °C/min"),
    ],
)
def test_an_alert_says_what_is_wrong(direction: Direction, value: float, limit: float, text: str) -> None:
    tag = Watched(1, "PUMP", "temperature", "drive end", "°C")
    changed = Raised("critical", limit, value, 0)
    assert alert_text(tag, direction, changed) == text


def test_rows_that_change_nothing_cost_no_step_each(recorder: Recorder) -> None:
    limits = Limits.model_validate({"high": {"warning": 80}})
    alarms = Alarms("main", [(Watched(n, "PUMP", "temperature", "", "°C"), limits) for n in range(1, 101)])
    rows = empty_rows(20_000)
    rows["tag_id"], rows["kind"] = np.repeat(np.arange(1, 101), 200), NUMBER
    rows["source_ts"] = np.tile(np.arange(200), 100)
    rows["value"] = 50.0
    rows["value"][rows["tag_id"] == 7] = 81.0
    with patch.object(Cause, "observe", autospec=True, side_effect=Cause.observe) as observe:
        alarms.evaluate(NOWHERE, prepare(Readings(rows, [], S, 0)), S)
        alarms.settle()
        assert observe.call_count == 200  # of the one tag that crosses
        rows["source_ts"] += 1000
        alarms.evaluate(NOWHERE, prepare(Readings(rows, [], S, 0)), S)
        assert observe.call_count == 200  # and that stays where it is
