"""Historian exports: landed once whatever happens, and a bad one lands nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest

from ingest.errors import FileError
from ingest.files import backfill as module
from ingest.files.backfill import backfill
from ingest.files.mapping import Mapping, load_mapping
from ingest.tags import sync_plant
from tests.integration.ingest.test_ingest_tags import PUMP, plant
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MAPS = Path(__file__).resolve().parents[3] / "maps"
T0 = datetime(2026, 1, 1, tzinfo=UTC)
WIDE = Mapping.model_validate(
    {
        "layout": "wide",
        "delay_s": 60,
        "timestamp": {"column": "t", "timezone": "Europe/Oslo"},
        "belongs_to": {"plant_id": "RIG", "name": "Rig"},
        "equipment": {"id": "RIG-1"},
        "columns": {"temp": {"measurement": "temperature", "unit": "°C"}, "vib": {"measurement": "vibration"}},
        "ignored": ["label"],
    }
)
LONG = load_mapping(MAPS / "demo_history.yml")
HEAD = "equipment_id,measurement,position,source_ts,value,value_text,status\n"


def test_a_wide_file_brings_its_own_machine(warehouse: Settings, admin: psycopg.Connection, tmp_path: Path) -> None:
    path = tmp_path / "rig.csv"
    path.write_text("t,temp,vib,label\n2026-06-01 12:00:00,20.5,,0\n2026-06-01 12:00:01,20.6,1e-3,1\n")
    result = backfill(warehouse, path, WIDE, T0)
    assert (result.rows, result.landed) == (3, 3)
    rows = admin.execute(
        "SELECT measurement, source_ts, value, status, origin::text, available_at - source_ts"
        " FROM raw.sensor_events JOIN raw.tags USING (tag_id) ORDER BY 1, 2"
    ).fetchall()
    noon, minute = datetime(2026, 6, 1, 10, tzinfo=UTC), timedelta(minutes=1)
    assert rows == [
        ("temperature", noon, 20.5, 0, "backfill", minute),
        ("temperature", noon + timedelta(seconds=1), 20.6, 0, "backfill", minute),
        ("vibration", noon + timedelta(seconds=1), 0.001, 0, "backfill", minute),
    ]
    assert admin.execute("SELECT count(*), max(value) FROM raw.tag_latest").fetchone() == (2, 20.6)


def test_days_that_were_backfilled_have_statistics_at_once(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "rig.csv"
    path.write_text("t,temp,vib,label\n2026-06-01 12:00:00,20.5,,0\n2026-06-03 12:00:01,20.6,1e-3,1\n")
    backfill(warehouse, path, WIDE, T0)
    counts = admin.execute(
        "SELECT relname, reltuples FROM pg_class WHERE relname ~ '^sensor_events_202606' AND relkind = 'r' ORDER BY 1"
    ).fetchall()
    assert counts == [("sensor_events_20260601", 1.0), ("sensor_events_20260603", 2.0)]
    whole = "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'sensor_events' AND inherited"
    assert admin.execute(whole).fetchone() == (True,)


def test_a_day_that_a_file_brings_is_attached_with_every_index_and_closed(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "rig.csv"
    path.write_text("t,temp,vib,label\n2026-06-01 12:00:00,20.5,,0\n2026-06-03 12:00:01,20.6,1e-3,1\n")
    assert backfill(warehouse, path, WIDE, T0).landed == 3
    indexes = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid='raw.sensor_events'::regclass ORDER BY 1"
    wanted = [row[0] for row in admin.execute(indexes)]
    for day in ("01", "03"):
        partition = f"raw.sensor_events_202606{day}"
        attached = admin.execute(
            "SELECT p.inhparent::regclass::text FROM pg_index AS i INNER JOIN pg_inherits AS p"
            " ON i.indexrelid = p.inhrelid WHERE i.indrelid = %s::regclass ORDER BY 1",
            (partition,),
        ).fetchall()
        assert [row[0] for row in attached] == wanted
        closed = "SELECT has_table_privilege('millwright_ingest', %s::regclass, 'INSERT')"
        assert admin.execute(closed, (partition,)).fetchone() == (False,), "other days could land in it"
    assert admin.execute("SELECT count(*) FROM raw.sensor_events").fetchone() == (3,)


def test_a_day_that_is_there_and_a_new_one_land_together(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "rig.csv"
    path.write_text("t,temp,vib,label\n2026-06-01 12:00:00,20.5,,0\n")
    backfill(warehouse, path, WIDE, T0)
    path.write_text("t,temp,vib,label\n2026-06-01 12:00:00,20.5,,0\n2026-06-02 12:00:00,20.6,,0\n")
    assert backfill(warehouse, path, WIDE, T0).landed == 1
    assert admin.execute("SELECT array_agg(value ORDER BY value) FROM raw.sensor_events").fetchone() == ([20.5, 20.6],)


def test_a_collector_that_needs_a_day_waits_until_it_is_attached(warehouse: Settings) -> None:
    """Made by both, the day would be refused to the one that comes later."""
    with (
        ThreadPoolExecutor(1) as pool,
        connect(warehouse, Role.INGEST, autocommit=True) as collector,
        connect(warehouse, Role.INGEST, autocommit=True) as file,
    ):
        with file.transaction():
            assert file.execute("SELECT raw.begin_day('2026-06-01')").fetchone() == ("sensor_events_20260601",)
            asked = pool.submit(collector.execute, "SELECT raw.ensure_partitions('2026-06-01', '2026-06-01')")
            with pytest.raises(TimeoutError):
                asked.result(0.3)
            file.execute("SELECT raw.attach_days('{2026-06-01}')")
        assert asked.result(30).fetchone() == (0,)
        assert collector.execute("SELECT raw.begin_day('2026-06-01')").fetchone() == (None,)


def test_a_repeated_backfill_changes_nothing(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_A_TRANSACTION", 100)
    sync_plant(warehouse, plant(PUMP=PUMP), T0)
    # Two days and a half, each time twice: the same reading once more, and another one with the same time.
    times = [T0 + timedelta(minutes=5 * (n // 3)) for n in range(2160)]
    columns = {
        "equipment_id": ["PUMP"] * 2160,
        "measurement": ["temperature", "temperature", "vibration"] * 720,
        "source_ts": pa.array(times, pa.timestamp("us", "UTC")),
        "value": [1.0, 2.0, 3.0] * 720,
        "value_text": pa.nulls(2160, pa.string()),
    }
    doubled = pa.concat_tables([pa.table(columns), pa.table(columns)])
    path = tmp_path / "readings.parquet"
    pa.parquet.write_table(doubled, path)
    first = backfill(warehouse, path, LONG, T0)
    assert (first.rows, first.landed) == (4320, 2160)
    before = admin.execute("SELECT count(*), sum(hashtextextended(e::text, 0)) FROM raw.sensor_events AS e").fetchone()
    assert before is not None
    assert before[0] == 2160
    assert backfill(warehouse, path, LONG, T0).landed == 0
    pa.parquet.write_table(pa.concat_tables([doubled, pa.table(columns).slice(0, 0)]), path)
    assert (
        admin.execute("SELECT count(*), sum(hashtextextended(e::text, 0)) FROM raw.sensor_events AS e").fetchone()
        == before
    )


def test_an_overlap_lands_what_is_missing(warehouse: Settings, admin: psycopg.Connection, tmp_path: Path) -> None:
    sync_plant(warehouse, plant(PUMP=PUMP), T0)
    lines = [f"PUMP,temperature,,2026-01-01T00:00:{second:02d}Z,{second},,0\n" for second in range(40)]
    path = tmp_path / "readings.csv"
    path.write_text(HEAD + "".join(lines[10:20]))
    backfill(warehouse, path, LONG, T0)
    path.write_text(HEAD + "".join(lines))
    assert backfill(warehouse, path, LONG, T0).landed == 30
    assert admin.execute("SELECT count(*), max(value) FROM raw.sensor_events").fetchone() == (40, 39.0)
    assert admin.execute("SELECT value FROM raw.tag_latest").fetchone() == (39.0,)


def test_text_null_and_bad_status_are_kept(warehouse: Settings, admin: psycopg.Connection, tmp_path: Path) -> None:
    sync_plant(warehouse, plant(PUMP=PUMP), T0)
    path = tmp_path / "readings.csv"
    path.write_text(
        HEAD
        + "PUMP,temperature,,2026-01-01T00:00:00Z,,RUNNING,0\n"
        + "PUMP,temperature,,2026-01-01T00:00:01+02:00,,,2150694912\n"
        + "PUMP,temperature,,2026-01-01T00:00:02Z,inf,,1152\n"
    )
    backfill(warehouse, path, LONG, T0)
    rows = admin.execute("SELECT value, value_text, status FROM raw.sensor_events ORDER BY source_ts").fetchall()
    assert rows == [(None, None, 2150694912), (None, "RUNNING", 0), (float("inf"), None, 1152)]


@pytest.mark.parametrize(
    ("content", "place", "wrong"),
    [
        ("t,temp\n2026-01-01,1\n", "line 1", "column 'vib' is missing; the file has: t, temp"),
        ("t,temp,vib,x\n2026-01-01,1,1,1\n", "line 1", "unknown column 'x'; allowed are: t, temp, vib, label"),
        ("t,temp,vib\n2026-01-01,1,1\nyesterday,1,1\n", "line 3, column 't'", "(ISO 8601). Got: 'yesterday'"),
        ("t,temp,vib\n2026-01-01,1,1\n,1,1\n", "line 3, column 't'", "is empty"),
        ("t,temp,vib\n1601-01-01,1,1\n", "line 2, column 't'", "between 1900 and 2200"),
        ("t,temp,vib\n2026-01-01,1,1\n2026-01-02,1,high\n", "line 3, column 'vib'", "must be a number. Got: 'high'"),
        ("t,temp,vib\n2026-01-01,1\n", "", "can't be read"),
        ("", "line 1", "is empty"),
    ],
)
def test_a_bad_file_lands_nothing(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path, content: str, place: str, wrong: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(FileError) as caught:
        backfill(warehouse, path, WIDE, T0)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert place in message
    assert wrong in message
    assert "\n" not in message
    assert admin.execute(
        "SELECT (SELECT count(*) FROM raw.sensor_events) + (SELECT count(*) FROM raw.tags)"
    ).fetchone() == (0,)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (
            "FAN,temperature,,2026-01-01T00:00:00Z,1,,0",
            "line 3, column 'equipment_id': no such equipment: 'FAN'; known: PUMP",
        ),
        ("PUMP,pressure,,2026-01-01T00:00:00Z,1,,0", "PUMP has no tag 'pressure'; it has: temperature, vibration"),
        ("PUMP,,,2026-01-01T00:00:00Z,1,,0", "line 3, column 'measurement': is empty"),
        ("PUMP,temperature,,2026-01-01T00:00:00Z,1,a,0", "line 3, column 'value_text': value is given too"),
        ("PUMP,temperature,,2026-01-01T00:00:00Z,1,,-1", "must be a 32-bit OPC UA status code, 0 for good. Got: -1"),
        ("PUMP,temperature,,2026-01-01T00:00:00Z,warm,,0", "line 3, column 'value': must be a number. Got: 'warm'"),
    ],
)
def test_a_bad_row_of_a_long_file_is_named(warehouse: Settings, tmp_path: Path, line: str, wrong: str) -> None:
    sync_plant(warehouse, plant(PUMP=PUMP), T0)
    path = tmp_path / "bad.csv"
    path.write_text(HEAD + "PUMP,temperature,,2026-01-01T00:00:00Z,1,,0\n" + line + "\n")
    with pytest.raises(FileError) as caught:
        backfill(warehouse, path, LONG, T0)
    assert wrong in str(caught.value)


@pytest.mark.parametrize("name", ["x.xlsx", "missing.csv", "broken.parquet"])
def test_an_unusable_file_is_answered_in_one_line(warehouse: Settings, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "broken.parquet":
        path.write_bytes(b"no parquet")
    with pytest.raises(FileError) as caught:
        backfill(warehouse, path, WIDE, T0)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_recorded_machine_lands_whole(warehouse: Settings, admin: psycopg.Connection, recorded_data: Path) -> None:
    path = recorded_data / "nab" / "machine_temperature_system_failure.csv"
    result = backfill(warehouse, path, load_mapping(MAPS / "nab_machine_temperature.yml"), T0)
    assert (result.rows, result.landed) == (22_695, 22_695)
    assert admin.execute("SELECT count(*) - count(DISTINCT source_ts) FROM raw.sensor_events").fetchone() == (12,)


def test_the_recorded_rig_lands_whole(warehouse: Settings, admin: psycopg.Connection, recorded_data: Path) -> None:
    mapping = load_mapping(MAPS / "skab.yml")
    assert backfill(warehouse, recorded_data / "skab" / "valve1" / "0.csv", mapping, T0).landed == 1147 * 8
    assert admin.execute("SELECT count(*) FROM raw.tags WHERE equipment_id = 'SKAB-0'").fetchone() == (8,)
