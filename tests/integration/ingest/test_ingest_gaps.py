"""The loss ledger: every value that didn't land lies in a gap, and no value that did lies in an unrepaired one."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.landing import events
from ingest.landing.gaps import CLOCK_WENT_BACK, cover
from ingest.landing.notes import Loss, Note, Resumed, Verdict
from ingest.landing.servers import ServerTakenError
from ingest.readings import HISTORY, Readings, to_us
from tests.integration.ingest.test_ingest_writer import PLANT, T0, Landing, Value
from warehouse.settings import Settings

OVERFLOW = 0x480
GONE = 0x80340000


class Ledger(Landing):
    """A landing whose batches are received when their last value was made, as the source's clock has it."""

    def live(self, *values: Value, received: float | None = None) -> int:
        at = max(value[1] for value in values) if received is None else received
        return self.writer.land([self.batch(*values, received=T0 + timedelta(seconds=at))], T0).rows

    def history(self, *values: Value) -> int:
        made = self.batch(*values, received=T0 + timedelta(days=1))
        return self.writer.land([Readings(made.rows, made.texts, made.received_us, 0, HISTORY)], T0).rows

    def lost(self, cause: str, heard: float | None, noted: float, *tags: str) -> Loss:
        tag_ids = [self.tags[tag] for tag in tags] or None
        loss = Loss(cause, "", us(noted), None if heard is None else us(heard), tag_ids)
        self.writer.note(loss)
        return loss


def us(second: float) -> int:
    return to_us(T0 + timedelta(seconds=second))


@pytest.fixture
def ledger(warehouse: Settings) -> Iterator[Ledger]:
    made = Ledger(warehouse, PLANT)
    yield made
    made.writer.close()


def gaps(admin: psycopg.Connection) -> list[Any]:
    """(cause, from, to, repaired, repair) in seconds after T0."""
    return admin.execute(
        "SELECT cause, extract(EPOCH FROM from_ts - %s)::float8, extract(EPOCH FROM to_ts - %s)::float8, repaired,"
        " repair FROM raw.sensor_gaps ORDER BY tag_id, from_ts, to_ts",
        (T0, T0),
    ).fetchall()


def test_an_outage_is_a_gap_from_the_last_value_to_the_next(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0), ("V", 0, 1.0))
    ledger.lost("outage", 0.5, 2)
    assert gaps(admin) == [("outage", 1.0, None, False, None), ("outage", 0.5, None, False, None)]
    ledger.live(("T", 9, 2.0), ("T", 10, 3.0), ("V", 0, 1.0))
    # The second tag comes back with the value it had: it has not changed, nothing is missing.
    assert gaps(admin) == [("outage", 1.0, 9.0, False, None), ("outage", 0.5, 0.5, True, "unchanged")]


def test_a_clock_that_is_not_the_sources_hides_no_loss(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    ledger.lost("outage", 60, 61)  # the collector's clock is a minute ahead
    ledger.live(("T", 8, 2.0), received=70)
    assert gaps(admin) == [("outage", 1.0, 8.0, False, None)]


def test_a_source_clock_that_went_back_is_said(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 100, 1.0))
    ledger.lost("outage", 100, 101)
    ledger.live(("T", 50, 2.0), received=110)
    assert gaps(admin) == [("outage", 100.0, 100.0, False, CLOCK_WENT_BACK)]


def test_the_overflow_bit_is_a_gap_once(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    for _ in range(2):
        ledger.live(("T", 5, 2.0, OVERFLOW), ("T", 6, 3.0), ("T", 9, 3.0, OVERFLOW))
        assert gaps(admin) == [("queue_overflow", 1.0, 5.0, False, None), ("queue_overflow", 6.0, 9.0, False, None)]


def test_a_worker_that_was_away_leaves_a_gap(ledger: Ledger, warehouse: Settings, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    ledger.writer.close()
    again = _taken_over(warehouse)
    again.lost("outage", None, 15)
    again.live(("T", 20, 2.0))
    assert gaps(admin) == [("outage", 1.0, 20.0, False, None)]
    again.writer.close()


def test_a_tag_that_was_never_live_has_no_gap(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    admin.execute("UPDATE raw.sensor_events SET origin = 'backfill'")
    ledger.lost("outage", None, 15)
    assert gaps(admin) == []


def test_single_tags_may_be_lost(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0), ("V", 1, 1.0))
    ledger.lost("outage", None, 2, "V")
    ledger.live(("T", 3, 2.0), ("V", 4, 2.0))
    assert gaps(admin) == [("outage", 1.0, 4.0, False, None)]


def test_what_says_that_a_node_is_gone_neither_begins_nor_ends_its_gap(
    ledger: Ledger, admin: psycopg.Connection
) -> None:
    """A server may go on telling of a deleted node, also once that is noted, until the item is taken off it."""
    ledger.live(("T", 1, 1.0), ("V", 0, 1.0))
    ledger.live(("T", 3, 0.0, GONE))
    ledger.lost("outage", 0.5, 4, "T")
    assert gaps(admin) == [("outage", 1.0, None, False, None)]
    ledger.live(("T", 5, 0.0, GONE))
    assert gaps(admin) == [("outage", 1.0, None, False, None)]
    ledger.live(("T", 9, 2.0))
    assert gaps(admin) == [("outage", 1.0, 9.0, False, None)]


def test_what_was_spooled_before_a_loss_does_not_end_it_when_read_again(
    ledger: Ledger, warehouse: Settings, admin: psycopg.Connection
) -> None:
    ledger.live(("T", 1, 1.0), ("T", 2, 2.0))
    loss = ledger.lost("sequence_gap", 2, 3)
    ledger.writer.close()
    again = _taken_over(warehouse)
    again.live(("T", 1, 1.0), ("T", 2, 2.0))
    again.writer.note(loss)
    again.live(("T", 7, 7.0))
    again.writer.note(loss)
    again.live(("T", 8, 8.0))
    assert gaps(admin) == [("sequence_gap", 2.0, 7.0, False, None)]
    again.writer.close()


def test_a_subscription_that_lived_on_voids_the_gap(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0), ("V", 1, 1.0))
    ledger.lost("outage", None, 2, "V")
    loss = ledger.lost("outage", 1, 3)
    ledger.writer.note(Resumed(loss.loss_id, us(9)))
    # The other loss is another matter.
    assert gaps(admin) == [("outage", 1.0, 9.0, True, "resumed"), ("outage", 1.0, None, False, None)]


def test_history_repairs_what_it_reaches(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    ledger.lost("outage", 1, 2)
    ledger.live(("T", 10, 10.0))
    assert ledger.history(("T", 1, 1.0), ("T", 4, 4.0), ("T", 6, 6.0)) == 2
    assert gaps(admin) == [("outage", 1.0, 6.0, True, "history"), ("outage", 6.0, 10.0, False, None)]
    assert ledger.history(("T", 6, 6.0), ("T", 8, 8.0), ("T", 10, 10.0)) == 1
    assert gaps(admin) == [("outage", 1.0, 6.0, True, "history"), ("outage", 6.0, 10.0, True, "history")]


def test_a_batch_of_history_answers_for_its_own_stretch_only(ledger: Ledger, admin: psycopg.Connection) -> None:
    for start in (0, 10, 20):
        ledger.live(("T", start + 1, 1.0))
        ledger.lost("outage", start + 1, start + 2)
    ledger.live(("T", 31, 1.0))
    batches = [ledger.batch(("T", 1, 1.0), ("T", 11, 1.0)), ledger.batch(("T", 21, 1.0), ("T", 31, 1.0))]
    ledger.writer.land([Readings(b.rows, b.texts, b.received_us, 0, HISTORY) for b in batches], T0)
    assert [gap[3] for gap in gaps(admin)] == [True, False, True]


def test_late_values_take_their_place_out_of_a_gap(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    ledger.lost("outage", 1, 2)
    ledger.live(("T", 10, 10.0))
    ledger.live(("T", 4, 4.0), ("T", 5, 5.0), received=11)
    assert gaps(admin) == [
        ("outage", 1.0, 4.0, False, None),
        ("outage", 4.0, 5.0, True, "late"),
        ("outage", 5.0, 10.0, False, None),
    ]


def test_what_was_backfilled_is_in_no_gap(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    ledger.lost("outage", 1, 2)
    rows = [("T", second, float(second)) for second in (4, 5, 6)]
    connection = ledger.writer.connect()
    with connection.transaction():
        events.insert_missing(connection, events.prepare(ledger.batch(*rows)), "backfill", np.full(3, us(4), np.int64))
    ledger.live(("T", 10, 10.0))
    assert gaps(admin) == [
        ("outage", 1.0, 4.0, False, None),
        ("outage", 4.0, 6.0, True, "late"),
        ("outage", 6.0, 10.0, False, None),
    ]
    prepared = events.prepare(ledger.batch(("T", 7, 7.0), ("T", 8, 8.0), ("T", 12, 1.0)))
    with connection.transaction():
        events.insert_missing(connection, prepared, "backfill", np.full(3, us(4), np.int64))
        cover(connection, prepared, [ledger.tags["T"]], "backfill")
    assert [gap[1:] for gap in gaps(admin)[2:]] == [
        (6.0, 7.0, False, None),
        (7.0, 8.0, True, "backfill"),
        (8.0, 10.0, False, None),
    ]


def test_gaps_come_due_later_and_later_and_end_by_a_verdict(ledger: Ledger, admin: psycopg.Connection) -> None:
    ledger.live(("T", 1, 1.0))
    ledger.lost("outage", 5, 6)
    assert ledger.writer.gaps(T0, 10) == []  # it has no end yet
    ledger.live(("T", 10, 10.0))
    (gap,) = ledger.writer.gaps(T0, 10)
    assert (gap.from_us, gap.to_us, gap.anchor_us, gap.attempts) == (us(5), us(10), us(1), 0)
    tag = ledger.tags["T"]
    ledger.writer.note(Verdict(tag, us(5), us(10), us(20), None))
    assert ledger.writer.gaps(T0 + timedelta(seconds=21), 10) == []
    (gap,) = ledger.writer.gaps(T0 + timedelta(seconds=22), 10)
    assert gap.attempts == 1
    ledger.writer.note(Verdict(tag, us(5), us(10), us(22), "none: the server keeps no history of it"))
    assert ledger.writer.gaps(T0 + timedelta(days=1), 10) == []
    assert gaps(admin) == [("outage", 5.0, 10.0, False, "none: the server keeps no history of it")]
    # What the verdict couldn't know of repairs it all the same.
    ledger.history(("T", 1, 1.0), ("T", 10, 10.0))
    assert gaps(admin) == [("outage", 5.0, 10.0, True, "history")]


class Stream:
    """A counter of one value a second, of which some arrive and some don't: what is spooled, and what is true."""

    def __init__(self) -> None:
        self.now = self.last = 0
        self.records: list[tuple[Value, ...] | Note | list[int]] = []
        self.arrived: set[int] = set()

    def made(self, count: int) -> list[int]:
        self.now += count
        return list(range(self.now - count + 1, self.now + 1))

    def arrive(self, seconds: list[int], status: int = 0) -> None:
        self.last = seconds[-1]
        self.arrived.update(seconds)
        self.records.append(tuple(("T", s, float(s), status if s == seconds[0] else 0) for s in seconds))

    def step(self, what: str, count: int) -> None:
        heard = us(self.now)
        if what == "live":
            self.arrive(self.made(count))
        elif what == "lost":
            self.made(count)
            self.records.append(Loss("sequence_gap", "", us(self.now + 0.5), heard))
        elif what == "overflow":
            self.made(count)
            self.arrive(self.made(1), OVERFLOW)
        elif what == "resumed":
            loss = Loss("outage", "", us(self.now + 0.5), heard)
            self.records += [loss, Resumed(loss.loss_id, us(self.now + 0.6))]
        elif what == "history":
            # Only of what has ended: what comes after the last value is not asked for.
            first = max(1, self.now - 3 * count)
            seconds = list(range(first, min(self.last, first + 2 * count) + 1))
            if seconds:
                self.arrived.update(seconds)
                self.records.append(seconds)


CRASHES = st.lists(st.tuples(st.integers(1, 14), st.integers(1, 6)))
STEPS = st.tuples(st.sampled_from(["live", "lost", "overflow", "resumed", "history"]), st.integers(1, 4))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=3, max_size=14), crashes=CRASHES)
def test_the_ledger_explains_every_loss_and_nothing_else(
    warehouse: Settings, admin: psycopg.Connection, steps: list[tuple[str, int]], crashes: list[tuple[int, int]]
) -> None:
    admin.execute("TRUNCATE raw.sensor_gaps, raw.losses, raw.tag_latest, raw.sensor_events")
    stream = Stream()
    stream.arrive(stream.made(1))
    for step in steps:
        stream.step(*step)
    stream.arrive(stream.made(1))
    ledger = Ledger(warehouse, PLANT)
    done = 0
    backs = dict(crashes)
    try:
        while done < len(stream.records):
            _apply(ledger, stream.records[done])
            done += 1
            _check(admin)
            if (back := backs.pop(done, 0)) > 0:  # a crash: what was not trimmed is read again, by a new writer
                ledger.writer.close()
                ledger = _taken_over(warehouse)
                done = max(0, done - back)
    finally:
        ledger.writer.close()
    lost = set(range(1, stream.now + 1)) - stream.arrived
    explained = {
        second
        for second in range(1, stream.now + 1)
        for _, start, end, repaired, _ in gaps(admin)
        if not repaired and start < second < end
    }
    assert explained == lost


def _taken_over(warehouse: Settings) -> Ledger:
    """A new writer, as soon as Postgres has noticed that the one before is gone."""
    ledger = Ledger(warehouse, PLANT)
    while True:
        try:
            ledger.writer.connect()
            return ledger
        except ServerTakenError:
            time.sleep(0.01)


def _apply(ledger: Ledger, record: Any) -> None:
    if isinstance(record, list):
        ledger.history(*(("T", second, float(second)) for second in record))
    elif isinstance(record, tuple):
        ledger.live(*record)
    else:
        ledger.writer.note(record)


def _check(admin: psycopg.Connection) -> None:
    inside = admin.execute(
        "SELECT g.from_ts, g.to_ts, e.source_ts FROM raw.sensor_gaps AS g JOIN raw.sensor_events AS e"
        " ON e.tag_id = g.tag_id AND e.source_ts > g.from_ts AND e.source_ts < coalesce(g.to_ts, 'infinity')"
        " WHERE NOT g.repaired"
    ).fetchall()
    assert inside == []
