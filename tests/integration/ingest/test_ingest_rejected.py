"""What can't be used: one row each with its reason, listed, exported, and landed once when it has become usable."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.ingest.test_ingest_writer import PLANT, T0, Landing
from warehouse.settings import Settings


@pytest.fixture
def landing(warehouse: Settings) -> Iterator[Landing]:
    made = Landing(warehouse, PLANT)
    yield made
    made.writer.close()


def test_a_spool_that_is_read_again_rejects_nothing_twice(landing: Landing, admin: psycopg.Connection) -> None:
    for _ in range(2):
        landing.land(("T", 1, "hot"), ("T", 1, "cold"), ("T", 1, "hot", 0x480), ("Z", 1, 3.0), ("T", 2, 4.0))
    rows = admin.execute("SELECT payload, kind, received_at FROM raw.rejected_events ORDER BY rejected_id").fetchall()
    assert rows == [("hot", "text", T0), ("cold", "text", T0), ("hot", "text", T0), ("3.0", "number", T0)]


def test_a_time_that_no_calendar_holds_blocks_no_batch(landing: Landing, admin: psycopg.Connection) -> None:
    batch = landing.batch(("T", 1, 1.0), ("T", 2, 2.0), ("T", 3, 3.0))
    batch.rows["source_ts"][0] = 2**62
    batch.rows["source_ts"][1] = -(2**62)
    assert landing.writer.land([batch], T0).rows == 1
    rows = admin.execute("SELECT payload, source_ts FROM raw.rejected_events ORDER BY rejected_id").fetchall()
    assert rows == [(f"1.0 at {2**62} µs since 2000-01-01", None), (f"2.0 at {-(2**62)} µs since 2000-01-01", None)]


def test_a_server_time_that_no_calendar_holds_blocks_no_batch(landing: Landing, admin: psycopg.Connection) -> None:
    batch = landing.batch(("T", 2, 1.0), ("V", 2, 2.0))
    batch.rows["server_ts"][0] = 2**62
    assert landing.writer.land([batch], T0).rows == 2
    assert admin.execute("SELECT server_ts FROM raw.tag_latest ORDER BY tag_id").fetchall()[0] == (None,)
