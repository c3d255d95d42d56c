"""The landing transaction: every reading once, poison alone, last values, limits, ledger."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ingest.landing.servers import ServerTakenError
from ingest.landing.writer import TagsChangedError, Writer
from ingest.plant import Plant
from ingest.readings import HISTORY, NO_TIME, NUMBER, TEXT, Readings, empty_rows, to_us
from ingest.tags import sync_plant
from tests.integration.ingest.test_ingest_tags import PUMP, plant
from warehouse.settings import Settings

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
Value = tuple[str, float, Any] | tuple[str, float, Any, int]

STATE = {"node": "nsu=urn:x;s=S", "measurement": "run_state", "role": "state", "data_type": "string"}
PLANT = plant(PUMP={**PUMP, "tags": [*PUMP["tags"], STATE]})  # type: ignore[misc]


class Landing:
    """A writer and the tag ids by the last letter of their nodes."""

    def __init__(self, settings: Settings, described: Plant) -> None:
        ids = sync_plant(settings, described, T0).tag_ids
        self.tags = {node[-1]: tag_id for (_, node), tag_id in ids.items()}
        self.ids = ids
        self.writer = Writer(settings, "main", described, ids)

    def batch(self, *values: Value, received: datetime = T0, origin: str = "live") -> Readings:
        """Values as (tag, seconds after T0, value[, status])."""
        rows, texts = empty_rows(len(values)), []
        for row, (tag, second, value, *status) in zip(rows, values, strict=True):
            row["tag_id"] = self.tags.get(tag, 999)
            row["source_ts"] = to_us(T0 + timedelta(seconds=second))
            row["server_ts"] = row["source_ts"] if second % 2 == 0 else NO_TIME
            row["status"] = status[0] if status else 0
            if isinstance(value, str):
                row["kind"], row["text"] = TEXT, len(texts)
                texts.append(value)
            elif value is not None:
                row["kind"], row["value"] = NUMBER, value
        return Readings(rows, texts, to_us(received), to_us(T0), origin)

    def land(self, *values: Value, moment: datetime = T0) -> int:
        return self.writer.land([self.batch(*values)], moment).rows


@pytest.fixture
def landing(warehouse: Settings) -> Iterator[Landing]:
    made = Landing(warehouse, PLANT)
    yield made
    made.writer.close()


def events(admin: psycopg.Connection, what: str = "value") -> list[Any]:
    return [row[0] for row in admin.execute(f"SELECT {what} FROM raw.sensor_events ORDER BY tag_id, source_ts, value")]


def test_a_replay_changes_nothing(landing: Landing, admin: psycopg.Connection) -> None:
    values: list[Value] = [("T", n / 2, n) for n in range(20)] + [("S", 3.5, "RUNNING"), ("V", 4, None, 0x80000000)]
    assert landing.land(*values) == 22
    before = events(admin, "sensor_events::text")
    assert landing.land(*values) == 0
    assert events(admin, "sensor_events::text") == before
    assert landing.land(*values, ("T", 100, 5.0)) == 1
    assert len(events(admin)) == 23


def test_two_values_with_one_timestamp_are_both_kept(landing: Landing, admin: psycopg.Connection) -> None:
    assert landing.land(("T", 1, 1.0), ("T", 1, 2.0), ("T", 1, 1.0), ("T", 1, 1.0, 0x480)) == 3
    assert landing.land(("T", 1, 3.0)) == 1
    assert sorted(events(admin)) == [1.0, 1.0, 2.0, 3.0]


def test_status_and_odd_numbers_are_kept(landing: Landing, admin: psycopg.Connection) -> None:
    odd = [float("nan"), float("inf"), float("-inf"), -0.0]
    assert landing.land(*(("T", n, value, 0x80000000 + n) for n, value in enumerate(odd))) == 4
    assert events(admin, "status") == [0x80000000 + n for n in range(4)]
    assert [repr(value) for value in events(admin)] == ["nan", "inf", "-inf", "-0.0"]


def test_last_values_only_move_forward(landing: Landing, admin: psycopg.Connection) -> None:
    landing.land(("T", 5, 5.0), ("S", 5, "RUNNING"))
    landing.land(("T", 3, 3.0))
    assert admin.execute("SELECT value, value_text FROM raw.tag_latest ORDER BY tag_id").fetchall() == [
        (5.0, None),
        (None, "RUNNING"),
    ]


def test_text_that_postgres_cannot_hold_is_made_safe(landing: Landing, admin: psycopg.Connection) -> None:
    assert landing.land(("S", 1, "a\x00b\udcff")) == 1
    assert events(admin, "value_text") == ["a\ufffdb\ufffd"]
    assert landing.land(("S", 1, "a\x00b\udcff")) == 0


def test_what_cannot_be_used_is_rejected_with_its_reason(landing: Landing, admin: psycopg.Connection) -> None:
    centuries = 400 * 365.25 * 86400
    assert (
        landing.land(
            ("T", -centuries, 1.0), ("T", 7900 * 365 * 86400, 2.0), ("Z", 1, 3.0), ("T", 1, "hot"), ("T", 2, 4.0)
        )
        == 1
    )
    rows = admin.execute("SELECT reason, payload, node_id FROM raw.rejected_events ORDER BY rejected_id").fetchall()
    assert rows == [
        ("source timestamp older than 400 days", "1.0", "nsu=urn:x;s=T"),
        ("source timestamp more than 300 s ahead of the clock", "2.0", "nsu=urn:x;s=T"),
        ("unknown handle", "3.0", None),
        ("text where plant.yml says a number", "hot", "nsu=urn:x;s=T"),
    ]
    assert events(admin) == [4.0]


@pytest.mark.parametrize("again", [False, True], ids=["fresh", "overlapping"])
def test_one_poison_row_blocks_no_other(landing: Landing, admin: psycopg.Connection, again: bool) -> None:
    landing.land(("T", 50 if again else -1, 50.0))
    admin.execute("ALTER TABLE raw.sensor_events ADD CONSTRAINT poison CHECK (value <> 13)")
    assert landing.land(*(("T", n, float(n)) for n in range(20))) == 19
    assert 13.0 not in events(admin)
    (row,) = admin.execute("SELECT reason, payload FROM raw.rejected_events").fetchall()
    assert row[0].startswith("refused by Postgres: new row")
    assert row[1] == "13.0"


def test_rows_of_a_dropped_partition_land_in_a_new_one(landing: Landing, admin: psycopg.Connection) -> None:
    landing.land(("T", 1, 1.0), ("V", 1, 1.0))
    admin.execute("DROP TABLE raw.sensor_events_20260101")
    assert landing.land(("T", 2, 2.0)) == 1
    assert events(admin) == [2.0]
    assert admin.execute("SELECT count(*) FROM raw.rejected_events").fetchone() == (0,)


def test_a_server_has_one_worker(landing: Landing, warehouse: Settings) -> None:
    landing.writer.connect()
    other = Landing(warehouse, PLANT)
    with pytest.raises(ServerTakenError, match="another worker"):
        other.writer.connect()


def test_history_lands_beside_what_is_live_and_in_silence(landing: Landing, admin: psycopg.Connection) -> None:
    """The server's past of a gap: known when it lands, no alarm, no lag, and older than any live value may be."""
    moment = T0 + timedelta(seconds=2)
    years = timedelta(days=800)
    past = landing.batch(("T", 0.5, 200.0), ("T", -years.total_seconds(), 20.0), ("N", 0, 1.0), origin=HISTORY)
    landed = landing.writer.land([past, landing.batch(("T", 1, 20.0))], moment)
    assert (landed.rows, landed.rejected, landed.transitions, len(landed.current_us)) == (3, 1, 0, 1)
    assert events(admin, "origin::text") == ["history", "history", "live"]
    assert set(events(admin, "available_at")) == {moment}
    assert admin.execute("SELECT origin::text FROM raw.rejected_events").fetchall() == [("history",)]
    assert admin.execute("SELECT count(*) FROM serving.critical_alerts").fetchall() == [(0,)]


def test_a_warehouse_with_other_ids_takes_nothing(landing: Landing, admin: psycopg.Connection) -> None:
    landing.land(("T", 1, 1.0))
    landing.writer.close()
    # As after a restore of another warehouse: the ids are those of other nodes.
    admin.execute("UPDATE raw.tags SET node_id = node_id || ' of old'")
    with pytest.raises(TagsChangedError, match=r"tags of server 'main' .* start the worker again"):
        landing.land(("T", 2, 2.0))
    assert events(admin) == [1.0]
