"""How far a server's clock is ahead: by when a message was sent, else by the clock's own value in it."""

from datetime import UTC, datetime, timedelta

from ingest.opcua.decoding import Publication
from ingest.opcua.publishing import Hearing
from ingest.readings import Readings, empty_rows, to_us

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


def message(clock_s: float | None, sent_s: float | None) -> Publication:
    """A message whose clock value and sending are so many seconds ahead of T0."""
    clock = None if clock_s is None else T0 + timedelta(seconds=clock_s)
    sent_us = None if sent_s is None else to_us(T0) + int(sent_s * 1e6)
    return Publication(1, 1, True, Readings(empty_rows(0)), clock, None, sent_us)


def test_the_time_of_sending_is_not_a_second_old() -> None:
    hearing = Hearing(500)
    hearing.note(message(clock_s=59.2, sent_s=60.0), T0, alive=True)
    assert hearing.skew_s == 60.0
    assert hearing.since == T0 + timedelta(seconds=59.5)


def test_without_it_the_clocks_value_is_taken() -> None:
    hearing = Hearing(500)
    hearing.note(message(clock_s=-2.0, sent_s=None), T0, alive=True)
    assert hearing.skew_s == -2.0
    hearing.note(message(clock_s=None, sent_s=None), T0 + timedelta(seconds=9), alive=False)
    assert hearing.skew_s == -2.0
    assert hearing.since == T0 + timedelta(seconds=6.5)
