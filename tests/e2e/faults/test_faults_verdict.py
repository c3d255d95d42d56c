"""The judge itself: each kind of loss is told from the others, in a warehouse that is made up."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from tests.e2e.faults.counters import TAGS, moment_of, value_of
from tests.e2e.faults.matrix import Matrix
from tests.e2e.faults.verdict import Outage, Row, judge
from tests.e2e.faults.worker import node

FIRST = 35_000_000_000
US = 50_000


@pytest.fixture
def tag_id(admin: psycopg.Connection) -> int:
    """A warehouse in which ticks 0 to 9 of the first counter, and nothing else, were offered and landed but 4 to 6."""
    admin.execute("INSERT INTO raw.plants VALUES ('P', 'P', 'UTC')")
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES ('E', 'P', 'E', 'e')"
    )
    made = admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, data_type)"
        " VALUES ('field', %s, 'E', 'counter', 'integer') RETURNING tag_id",
        (node(0),),
    ).fetchone()
    assert made is not None
    admin.execute("SELECT raw.ensure_partitions(%s, %s)", (moment_of(FIRST), moment_of(FIRST)))
    for tick in (0, 1, 2, 3, 7, 8, 9):
        land(admin, made[0], FIRST + tick, value_of(0, FIRST + tick))
    return int(made[0])


def land(admin: psycopg.Connection, tag_id: int, tick: int, value: int) -> None:
    admin.execute(
        "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at)"
        " VALUES (%s, %s, %s, 0, %s, 'live', now())",
        (tag_id, moment_of(tick), value, value % 2**31 + admin.pgconn.backend_pid),
    )


def gap(admin: psycopg.Connection, tag_id: int, first: int, last: int | None, repaired: bool = False) -> None:
    until = None if last is None else moment_of(FIRST + last)
    admin.execute(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause, repaired) VALUES (%s, %s, %s, 'outage', %s)",
        (tag_id, moment_of(FIRST + first), until, repaired),
    )


def judged(admin: psycopg.Connection) -> Row:
    offered = [[FIRST + tick for tick in range(10)], *([] for _ in TAGS[1:])]
    outage = Outage((FIRST + 4) * US, (FIRST + 6) * US)
    return judge(admin, offered, FIRST, "made up", "none", 1, [outage])


def test_a_loss_that_nothing_explains(admin: psycopg.Connection, tag_id: int) -> None:
    gap(admin, tag_id, 3, 7, repaired=True)
    row = judged(admin)
    assert (row.offered, row.landed, row.lost_in_ledger, row.lost_not_in_ledger) == (10, 7, 0, 3)
    with pytest.raises(AssertionError):
        Matrix(lambda *_: None).add(row, lossless=False)


def test_a_loss_in_the_ledger(admin: psycopg.Connection, tag_id: int) -> None:
    gap(admin, tag_id, 3, 7)
    row = judged(admin)
    assert (row.lost_in_ledger, row.lost_not_in_ledger, row.landed_in_gap, row.gap_s) == (3, 0, 0, 0.2)
    assert row.widest_gap_over_s == 0.1  # the outage is of ticks 4 to 6
    Matrix(lambda *_: None).add(row, lossless=False)
    with pytest.raises(AssertionError):
        Matrix(lambda *_: None).add(row, lossless=True)


@pytest.mark.parametrize(("first", "last"), [(1, 7), (3, None)])
def test_a_gap_that_explains_too_much(admin: psycopg.Connection, tag_id: int, first: int, last: int | None) -> None:
    gap(admin, tag_id, first, last)
    row = judged(admin)
    assert row.landed_in_gap > 0
    with pytest.raises(AssertionError):
        Matrix(lambda *_: None).add(row, lossless=False)


def test_a_gap_that_is_wider_than_its_outage(admin: psycopg.Connection, tag_id: int) -> None:
    gap(admin, tag_id, 3, 7)
    row = judged(admin)
    Matrix(lambda *_: None).add(replace(row, widest_gap_over_s=0.55), lossless=False)
    with pytest.raises(AssertionError):
        Matrix(lambda *_: None).add(replace(row, widest_gap_over_s=0.6), lossless=False)


def test_values_of_another_sensor_and_values_that_come_twice(admin: psycopg.Connection, tag_id: int) -> None:
    gap(admin, tag_id, 3, 7)
    land(admin, tag_id, FIRST + 9, value_of(1, FIRST + 9))
    admin.execute(
        "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at)"
        " SELECT tag_id, source_ts, value, status, digest + 1, origin, available_at FROM raw.sensor_events"
        " WHERE value = %s",
        (value_of(0, FIRST + 8),),
    )
    row = judged(admin)
    assert (row.wrong, row.duplicates) == (1, 1)


def test_a_value_that_was_set_aside(admin: psycopg.Connection, tag_id: int) -> None:
    for tick in (4, 5, 6):
        admin.execute(
            "INSERT INTO raw.rejected_events (tag_id, source_ts, reason, origin) VALUES (%s, %s, 'poison', 'live')",
            (tag_id, moment_of(FIRST + tick)),
        )
    row = judged(admin)
    assert (row.rejected, row.lost) == (3, 0)
    Matrix(lambda *_: None).add(row, lossless=True)
