"""The whole project on small data: layers, contracts, late data, snapshots."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from warehouse import feature_contract
from warehouse.roles import Role, connect
from warehouse.settings import Settings
from warehouse.transform import PROJECT, TransformResult, build, invoke

START = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
Transform = Callable[..., TransformResult]
Reading = tuple[int, datetime, float | None, str | None, int, int]
INSERT = (
    "INSERT INTO raw.sensor_events (tag_id, source_ts, value, value_text, status, digest, origin, available_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, 'live', %s) ON CONFLICT DO NOTHING"
)

COUNTS = "SELECT tag_id, reading_count FROM intermediate.int_sensor_minutes ORDER BY 1"


def land(connection: psycopg.Connection, readings: list[Reading]) -> None:
    """One transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(INSERT, [(*reading, reading[1] + timedelta(seconds=1)) for reading in readings])


def day(start: datetime, minutes: int, seed: int) -> list[Reading]:
    """Readings of every tag with gaps, bad values, duplicates in time and changing states."""
    chance = random.Random(seed)
    readings: list[Reading] = []
    for minute in range(minutes):
        at = start + timedelta(minutes=minute)
        if 40 <= minute < 48:
            continue
        for tag, base in ((1, 60.0), (2, 2.0), (3, 3.0), (4, 80.0), (6, 40.0)):
            if chance.random() < 0.05:
                continue
            for second in (5, 25, 45):
                status = 0x80000000 if chance.random() < 0.03 else 0
                value = float("nan") if chance.random() < 0.01 else base + chance.gauss(0, 1) * base / 20
                moment = at + timedelta(seconds=second)
                readings.append((tag, moment, value, None, status, chance.getrandbits(60)))
                if chance.random() < 0.02:
                    readings.append((tag, moment, base, None, 0x40000000, chance.getrandbits(60)))
        if minute % 17 == 0:
            readings.append((5, at, None, chance.choice("RS"), 0, chance.getrandbits(60)))
    return readings


def rows(connection: psycopg.Connection, table: str, key: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        found = cursor.execute(f"SELECT * FROM {table} ORDER BY {key}").fetchall()  # type: ignore[arg-type]
    return [{name: value for name, value in row.items() if name != "built_xid"} for row in found]


def assert_equal(got: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        for name, value in other.items():
            if isinstance(value, float):
                assert one[name] is not None, (name, one, other)
                assert math.isclose(one[name], value, rel_tol=1e-9, abs_tol=1e-12), (name, one, other)
            else:
                assert one[name] == value, (name, one, other)


def test_dbt_build_as_it_is_passes_on_an_empty_warehouse(warehouse: Settings, admin: psycopg.Connection) -> None:
    # The command line's build, unit tests and all; the project's own runs leave those out.
    variables = json.dumps({"moment": START.isoformat()})
    arguments = ["build", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--vars", variables]
    result = invoke(warehouse, [*arguments, "--quiet", "--log-level-file", "none"])
    assert result.succeeded, result.failures
    assert admin.execute("SELECT count(*) FROM marts.gold_ml_features").fetchone() == (0,)
    assert admin.execute("SELECT count(*) FROM ops.watermarks WHERE pipeline = 'transform'").fetchone() == (1,)


def test_late_batches_in_any_order_equal_one_full_refresh(transform: Transform, plant: psycopg.Connection) -> None:
    land(plant, day(START - timedelta(days=1), 180, seed=1))
    transform(START)
    readings = day(START, 150, seed=2)
    random.Random(3).shuffle(readings)
    size = math.ceil(len(readings) / 4)
    for index in range(4):
        land(plant, readings[index * size : (index + 1) * size])
        transform(START + timedelta(hours=3), "tag:minute")
    tables = (
        ("marts.gold_ml_features", "equipment_id, window_end"),
        ("marts.silver_enriched_sensors", "tag_id, window_end"),
    )
    landed = [rows(plant, table, key) for table, key in tables]
    assert any(row["temperature_deviation_5m"] is not None for row in landed[0])
    # Frozen baselines stay; everything else is made again from raw.
    plant.execute(
        "DROP TABLE marts.gold_ml_features, marts.silver_enriched_sensors, intermediate.int_sensor_minutes,"
        " intermediate.int_equipment_minutes, intermediate.int_sensor_hours"
    )
    plant.execute("DELETE FROM ops.watermarks")
    transform(START + timedelta(hours=3))
    for (table, key), before in zip(tables, landed, strict=True):
        assert_equal(before, rows(plant, table, key))


def test_a_slow_transaction_is_read_and_an_open_one_stalls_nothing(
    transform: Transform, plant: psycopg.Connection, warehouse: Settings, cluster: Settings
) -> None:
    land(plant, [(1, START, 60.0, None, 0, 1)])
    transform(START)
    with connect(warehouse, Role.ADMIN) as slow, connect(cluster, Role.ADMIN) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")
        slow.execute(INSERT, (1, START, 70.0, None, 0, 2, START))  # type: ignore[arg-type]
        land(plant, [(6, START, 40.0, None, 0, 3)])
        transform(START + timedelta(minutes=1), "tag:minute")
        counted = plant.execute(
            "SELECT tag_id, reading_count FROM intermediate.int_sensor_minutes ORDER BY 1"
        ).fetchall()
        assert counted == [(1, 1), (6, 1)]
        slow.execute(INSERT, (1, START + timedelta(seconds=1), 80.0, None, 0, 4, START))  # type: ignore[arg-type]
        slow.commit()
        transform(START + timedelta(minutes=2), "tag:minute")
        elsewhere.rollback()
    counted = plant.execute(COUNTS).fetchall()
    assert counted == [(1, 2), (6, 1)]


def test_a_second_minute_without_news_writes_nothing(transform: Transform, plant: psycopg.Connection) -> None:
    land(plant, day(START, 20, seed=4))
    transform(START + timedelta(minutes=20))
    written = "SELECT equipment_id, window_end, built_xid::text FROM marts.gold_ml_features ORDER BY 1, 2"
    before = plant.execute(written).fetchall()  # type: ignore[arg-type]
    assert {row[0] for row in before} == {"A", "B"}
    transform(START + timedelta(minutes=21), "tag:minute")
    assert plant.execute(written).fetchall() == before  # type: ignore[arg-type]


def test_a_run_after_a_failed_one_repeats_its_range(
    transform: Transform, plant: psycopg.Connection, warehouse: Settings
) -> None:
    land(plant, [(1, START, 60.0, None, 0, 1)])
    transform(START)
    moved = "SELECT snapshot::text, moved_at FROM ops.watermarks WHERE pipeline = 'transform'"
    before = plant.execute(moved).fetchone()
    land(plant, [(6, START, 40.0, None, 0, 2)])
    plant.execute("ALTER TABLE marts.gold_ml_features ADD CONSTRAINT never CHECK (window_end < '2026-01-01') NOT VALID")
    failed = build(warehouse, START + timedelta(minutes=1), "tag:minute")
    assert not failed.succeeded
    assert [line.split(":")[0] for line in failed.failures] == ["gold_ml_features"]
    assert plant.execute(COUNTS).fetchall() == [(1, 1), (6, 1)]  # the models before it are done
    assert plant.execute(moved).fetchone() == before
    plant.execute("ALTER TABLE marts.gold_ml_features DROP CONSTRAINT never")
    transform(START + timedelta(minutes=2), "tag:minute")
    assert plant.execute(moved).fetchone() != before
    gold = plant.execute("SELECT equipment_id FROM marts.gold_ml_features ORDER BY 1").fetchall()
    assert gold == [("A",), ("B",)]


def test_the_contract_of_gold_is_current() -> None:
    assert feature_contract.TARGET.read_text(encoding="utf-8") == feature_contract.current()
