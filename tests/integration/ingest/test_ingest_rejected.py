"""What can't be used: one row each with its reason, listed, exported, and landed once when it has become usable."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from ingest.__main__ import app
from ingest.landing.rejected import Wanted, by_reason, export, newest
from ingest.landing.retry import retry
from ingest.tags import sync_plant
from tests.integration.ingest.test_ingest_tags import PUMP, plant
from tests.integration.ingest.test_ingest_writer import PLANT, T0, Landing
from warehouse.roles import Role, connect
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


def values(admin: psycopg.Connection) -> list[Any]:
    return admin.execute(
        "SELECT coalesce(value::text, value_text), origin::text, available_at FROM raw.sensor_events"
        " ORDER BY tag_id, source_ts"
    ).fetchall()


def test_what_plant_yml_makes_usable_lands_once(
    landing: Landing, warehouse: Settings, admin: psycopg.Connection
) -> None:
    landing.land(("T", 400, 7.0, 0x480), ("T", 500, float("nan")), ("V", 1, "fast"), ("T", 1, 1.0))
    tolerant = PLANT.model_copy(
        update={"servers": {"main": PLANT.servers["main"].model_copy(update={"future_tolerance_s": 450})}}
    )
    later = T0 + timedelta(hours=1)
    first = retry(warehouse, tolerant, Wanted(), later)
    assert (first.landed, first.there) == (1, 0)
    assert dict(first.unusable) == {
        "source timestamp more than 450 s ahead of the clock": 1,
        "text where plant.yml says a number": 1,
    }
    assert values(admin) == [("1", "live", T0), ("7", "live", later)]
    assert admin.execute("SELECT status FROM raw.sensor_events WHERE value = 7").fetchone() == (0x480,)
    assert admin.execute("SELECT value FROM raw.tag_latest").fetchall() == [(7.0,)]
    assert retry(warehouse, tolerant, Wanted(), later).landed == 0
    landing.land(("T", 400, 7.0, 0x480))  # the spool is read again: neither the row nor the rejection comes twice
    rows = admin.execute("SELECT count(*), count(landed_at) FROM raw.rejected_events").fetchone()
    assert (len(values(admin)), rows) == (2, (3, 1))


def test_a_tag_whose_type_was_corrected_takes_its_readings(
    landing: Landing, warehouse: Settings, admin: psycopg.Connection
) -> None:
    landing.land(("T", 1, "hot"), ("V", 1, "fast"))
    landing.writer.close()
    tags = [{**PUMP["tags"][0], "data_type": "string"}, {**PUMP["tags"][1], "data_type": "string", "unit": "in/s"}]  # type: ignore[index]
    corrected = plant(PUMP={**PUMP, "tags": tags})
    sync_plant(warehouse, corrected, T0 + timedelta(minutes=1))
    outcome = retry(warehouse, corrected, Wanted(server="main"), T0 + timedelta(hours=1))
    assert (outcome.landed, dict(outcome.unusable)) == (1, {"its tag is retired": 1})
    assert [row[0] for row in values(admin)] == ["hot"]


def test_a_row_that_postgres_refused_lands_when_it_does_not_any_more(
    landing: Landing, warehouse: Settings, admin: psycopg.Connection
) -> None:
    landing.land(("T", 10, 10.0))
    admin.execute("ALTER TABLE raw.sensor_events ADD CONSTRAINT poison CHECK (value <> 13)")
    landing.land(*(("T", n, float(n)) for n in range(11, 16)))
    refused = retry(warehouse, PLANT, Wanted(), T0)
    assert refused.landed == 0
    assert [why.split(":")[0] for why in refused.unusable] == ["refused by Postgres"]
    admin.execute("ALTER TABLE raw.sensor_events DROP CONSTRAINT poison")
    assert retry(warehouse, PLANT, Wanted(reason="REFUSED"), T0).landed == 1
    assert [row[0] for row in values(admin)] == ["10", "11", "12", "13", "14", "15"]


def test_a_retried_reading_leaves_no_gap_around_it(
    landing: Landing, warehouse: Settings, admin: psycopg.Connection
) -> None:
    landing.land(("T", 1, 1.0), ("T", 400, 4.0), ("T", 500, 5.0))
    tag = landing.tags["T"]
    admin.execute(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause) VALUES (%s, %s, %s, 'outage')",
        (tag, T0 + timedelta(seconds=1), T0 + timedelta(seconds=600)),
    )
    tolerant = PLANT.model_copy(
        update={"servers": {"main": PLANT.servers["main"].model_copy(update={"future_tolerance_s": 900})}}
    )
    assert retry(warehouse, tolerant, Wanted(), T0).landed == 2
    inside = admin.execute(
        "SELECT count(*) FROM raw.sensor_gaps AS g JOIN raw.sensor_events AS e USING (tag_id)"
        " WHERE NOT g.repaired AND e.source_ts > g.from_ts AND e.source_ts < g.to_ts"
    ).fetchone()
    assert inside == (0,)
    covered = admin.execute(
        "SELECT sum(extract(EPOCH FROM to_ts - from_ts)) FROM raw.sensor_gaps WHERE NOT repaired"
    ).fetchone()
    assert covered == (599,)  # the stretches between the readings are missing still


def test_rejected_readings_are_counted_shown_and_exported(
    landing: Landing, warehouse: Settings, admin: psycopg.Connection
) -> None:
    landing.land(("T", 1, 'he said "hot", twice'), ("T", 2, "cold"), ("Z", 1, 3.0))
    with connect(warehouse, Role.INGEST) as connection:
        assert [(server, why, n) for server, why, n, _ in by_reason(connection, Wanted())] == [
            ("main", "text where plant.yml says a number", 2),
            ("main", "unknown handle", 1),
        ]
        assert by_reason(connection, Wanted(server="other")) == []
        assert by_reason(connection, Wanted(until=T0)) == []
        assert [row["payload"] for row in newest(connection, Wanted(reason="HANDLE"), 5)] == ["3.0"]
        file = io.BytesIO()
        assert export(connection, Wanted(reason="text"), file) == 2
    read = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    assert [row["payload"] for row in read] == ['he said "hot", twice', "cold"]
    assert {row["server"] for row in read} == {"main"}


def test_the_commands_say_what_they_did(
    landing: Landing, warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.land(("T", 1, "hot"))
    for name in ("var", "postgres_port"):
        monkeypatch.setenv(f"MILLWRIGHT_{name.upper()}", str(getattr(warehouse, name)))
    monkeypatch.setenv("PGDATABASE", warehouse.pgdatabase)
    monkeypatch.setenv("COLUMNS", "200")
    described = tmp_path / "plant.yml"
    described.write_text(json.dumps(PLANT.model_dump(mode="json")))
    runner = CliRunner()
    listed = runner.invoke(app, ["rejected", "list"])
    assert "text where plant.yml says a number" in listed.stdout
    assert "2026-01-01 12:00:01.000" in listed.stdout
    tried = runner.invoke(app, ["rejected", "retry", "--plant", str(described)])
    assert tried.stdout.splitlines()[0] == "0 landed, 0 there already, 1 not usable"
    target = tmp_path / "out.csv"
    assert runner.invoke(app, ["rejected", "export", str(target)]).stdout == f"{target}: 1 rejected readings\n"
    assert target.read_text().count("\n") == 2
    assert runner.invoke(app, ["rejected", "list", "--reason", "none such"]).stdout == "no rejected readings\n"
