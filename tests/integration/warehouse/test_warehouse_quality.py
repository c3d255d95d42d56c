"""Checkpoints find what would spoil a training, say so in a sentence, and keep every result."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from warehouse.errors import WarehouseError
from warehouse.expectations import MEASUREMENTS, WINDOWS
from warehouse.quality import check
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MOMENT = datetime(2026, 6, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
def landed(warehouse: Settings, admin: psycopg.Connection) -> psycopg.Connection:
    """A healthy hour of one temperature tag (tag 1) and one vibration tag (tag 2), a reading a second."""
    admin.execute("INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('mine', 'Mine', 'UTC')")
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES ('P1', 'mine', 'Pump', 'pump')"
    )
    admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, unit, data_type) "
        "VALUES ('s', 'T', 'P1', 'temperature', '°C', 'double'), ('s', 'V', 'P1', 'vibration', 'g', 'double')"
    )
    admin.execute("SELECT raw.ensure_partitions(%s, %s)", (MOMENT - timedelta(days=1), MOMENT + timedelta(days=1)))
    admin.execute(
        "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at, landed_at) "
        "SELECT t, %(moment)s - s * interval '1 s', 20 + t, 0, s, 'live', %(moment)s, %(moment)s "
        "FROM generate_series(1, 2) t, generate_series(1, 3600) s",
        {"moment": MOMENT},
    )
    return admin


@pytest.fixture
def gold(warehouse: Settings, admin: psycopg.Connection) -> psycopg.Connection:
    """`marts.gold_ml_features` as far as the checkpoint reads it: 25 hours of one machine."""
    columns = [f"{m}_mean_60m float8" for m in MEASUREMENTS]
    columns += [f"{m}_deviation_{w}m float8" for m in MEASUREMENTS for w in WINDOWS]
    with connect(warehouse, Role.TRANSFORM) as dbt:
        dbt.execute(
            "CREATE TABLE marts.gold_ml_features (equipment_id text, window_end timestamptz, is_running boolean, "
            f"{', '.join(columns)})"
        )
        dbt.execute(
            "INSERT INTO marts.gold_ml_features (equipment_id, window_end, is_running, temperature_mean_60m, "
            "temperature_deviation_60m) SELECT 'P1', %s - m * interval '1 min', true, 20, 0.1 "
            "FROM generate_series(0, 1499) m",
            (MOMENT,),
        )
    return admin


def stored(admin: psycopg.Connection) -> list[tuple[Any, ...]]:
    return admin.execute(
        "SELECT subject, blocking FROM ops.data_quality_results WHERE NOT succeeded ORDER BY result_id"
    ).fetchall()


def test_healthy_readings_pass_and_every_result_is_kept(warehouse: Settings, landed: psycopg.Connection) -> None:
    result = check(warehouse, "raw_landings", MOMENT)
    assert result.succeeded and result.failures == [] and result.warnings == []
    rows = landed.execute("SELECT subject FROM ops.data_quality_results WHERE moment = %s AND succeeded", (MOMENT,))
    assert {subject for (subject,) in rows} == {
        "volume", "timestamps", "completeness", "ranges", "quality", "freshness",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "subject"),
    [
        ("UPDATE raw.sensor_events SET source_ts = source_ts + interval '6 hours' WHERE tag_id = 1 AND digest = 1", "timestamps"),  # noqa: E501
        ("UPDATE raw.sensor_events SET value = NULL WHERE tag_id = 1 AND digest <= 100", "completeness"),
        ("UPDATE raw.sensor_events SET value = 9999 WHERE tag_id = 1 AND digest <= 100", "ranges"),
        ("UPDATE raw.sensor_events SET value = 'NaN' WHERE tag_id = 1 AND digest <= 100", "ranges"),
    ],
)  # fmt: skip
def test_damaged_readings_block_and_the_measurement_is_named(
    warehouse: Settings, landed: psycopg.Connection, damage: str, subject: str
) -> None:
    landed.execute(damage)
    result = check(warehouse, "raw_landings", MOMENT)
    assert not result.succeeded
    (failure,) = result.failures
    assert failure.startswith(f"{subject}: ") and "temperature" in failure and "vibration" not in failure
    assert stored(landed) == [(subject, True)]


def test_readings_after_the_moment_are_none_of_its_business(warehouse: Settings, landed: psycopg.Connection) -> None:
    landed.execute("UPDATE raw.sensor_events SET value = 9999 WHERE tag_id = 1 AND digest <= 600")
    assert check(warehouse, "raw_landings", MOMENT - timedelta(minutes=10, seconds=1)).succeeded


def test_stale_readings_warn_only(warehouse: Settings, landed: psycopg.Connection) -> None:
    result = check(warehouse, "raw_landings", MOMENT + timedelta(hours=2))
    assert result.succeeded
    assert [warning.partition(":")[0] for warning in result.warnings] == ["freshness"]


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [("raw_landings", "nothing has landed"), ("training_set", "gold_ml_features: exists (run: python -m warehouse")],
)
def test_an_empty_warehouse_says_so(
    warehouse: Settings, admin: psycopg.Connection, checkpoint: str, words: str
) -> None:
    result = check(warehouse, checkpoint, MOMENT)
    assert not result.succeeded
    assert words in result.failures[0]
    assert len(stored(admin)) == 1


def test_a_sound_training_set_passes(warehouse: Settings, gold: psycopg.Connection) -> None:
    result = check(warehouse, "training_set", MOMENT)
    assert result.succeeded, result.failures
    assert result.warnings == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DELETE FROM marts.gold_ml_features WHERE window_end < '2026-06-15'", "rows: at least 1,000 rows. Got: 631"),
        ("INSERT INTO marts.gold_ml_features SELECT * FROM marts.gold_ml_features LIMIT 1", "key: equipment_id and window_end"),  # noqa: E501
        ("UPDATE marts.gold_ml_features SET vibration_deviation_5m = 'NaN' WHERE window_end > '2026-06-15 10:29Z'", "vibration_deviation_5m: finite"),  # noqa: E501
        ("UPDATE marts.gold_ml_features SET power_deviation_60m = '-Infinity' WHERE window_end > '2026-06-15 10:29Z'", "power_deviation_60m: finite"),  # noqa: E501
        ("UPDATE marts.gold_ml_features SET equipment_id = NULL WHERE window_end > '2026-06-15 10:29Z'", "equipment_id: never null"),  # noqa: E501
    ],
)  # fmt: skip
def test_an_unsound_training_set_blocks(warehouse: Settings, gold: psycopg.Connection, damage: str, words: str) -> None:
    gold.execute(damage)
    result = check(warehouse, "training_set", MOMENT)
    assert not result.succeeded
    assert any(failure.startswith(words) for failure in result.failures), result.failures


def test_missing_deviations_warn(warehouse: Settings, gold: psycopg.Connection) -> None:
    gold.execute("UPDATE marts.gold_ml_features SET temperature_deviation_60m = NULL")
    result = check(warehouse, "training_set", MOMENT)
    assert result.succeeded
    assert "deviations" in result.warnings[0] and "temperature" in result.warnings[0]


def test_a_window_after_the_moment_is_not_looked_at(warehouse: Settings, gold: psycopg.Connection) -> None:
    gold.execute("UPDATE marts.gold_ml_features SET temperature_deviation_60m = 'NaN' WHERE window_end = %s", (MOMENT,))
    assert check(warehouse, "training_set", MOMENT - timedelta(minutes=1)).succeeded


def test_an_unknown_checkpoint_names_the_known_ones(warehouse: Settings) -> None:
    with pytest.raises(WarehouseError, match=r"must be one of raw_landings, training_set\. Got: 'gold'"):
        check(warehouse, "gold", MOMENT)


def test_nothing_leaves_this_machine(
    warehouse: Settings, landed: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def watched(host: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(str(host))
        return resolve(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    check(warehouse, "raw_landings", MOMENT)
    assert set(asked) <= {"127.0.0.1", "localhost"}
