"""Checkpoints find what would spoil a training, say so in a sentence, and keep every result."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.integration.marts import make_marts
from warehouse.data_docs import data_docs
from warehouse.errors import WarehouseError
from warehouse.grid import sql_on_grid
from warehouse.quality import CheckpointResult, check
from warehouse.roles import Role, connect
from warehouse.settings import Settings

ON_GRID = sql_on_grid("w")
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
    """The marts that the checkpoint reads: 25 hours of one machine that has a temperature."""
    admin.execute("INSERT INTO raw.plants (plant_id, name, timezone) VALUES ('mine', 'Mine', 'UTC')")
    admin.execute(
        "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES ('P1', 'mine', 'Pump', 'pump')"
    )
    admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, unit, data_type) "
        "VALUES ('s', 'T', 'P1', 'temperature', '°C', 'double')"
    )
    # An hour's warning of a failure in 25 hours: neither too few positive windows nor too many.
    admin.execute(
        "INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, available_at) "
        "VALUES ('F', 'P1', 'bearing', 'bearing_wear', %(at)s, %(at)s)",
        {"at": MOMENT - timedelta(hours=24)},
    )
    with connect(warehouse, Role.TRANSFORM) as dbt:
        make_marts(dbt)
        # As gold's key is found, but for the duplicate that a test makes.
        dbt.execute("CREATE INDEX ON marts.gold_ml_features (equipment_id, window_end)")
        dbt.execute(
            "INSERT INTO marts.gold_ml_features (equipment_id, window_end, is_running, available_at, "
            "temperature_mean_60m, temperature_deviation_60m) "
            "SELECT 'P1', %(moment)s - m * interval '1 min', true, %(moment)s - m * interval '1 min', 20, 0.1 "
            "FROM generate_series(0, 1499) m",
            {"moment": MOMENT},
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
        "presence", "timestamps", "completeness", "ranges", "quality", "gaps", "freshness", "volume",
        "silence", "lost time",
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


def test_a_measurement_that_fell_silent_is_compared_with_last_week(
    warehouse: Settings, landed: psycopg.Connection
) -> None:
    landed.execute("SELECT raw.ensure_partitions(%s, %s)", (MOMENT - timedelta(days=8), MOMENT - timedelta(days=7)))
    landed.execute(
        "INSERT INTO raw.sensor_events (tag_id, source_ts, value, status, digest, origin, available_at, landed_at) "
        "SELECT tag_id, source_ts - interval '7 days', value, status, digest, origin, available_at, landed_at "
        "FROM raw.sensor_events"
    )
    landed.execute("DELETE FROM raw.sensor_events WHERE tag_id = 2 AND source_ts > '2026-06-15'")
    result = check(warehouse, "raw_landings", MOMENT, hours=1)
    assert result.succeeded
    (warning,) = result.warnings
    assert warning.startswith("volume: ") and "vibration" in warning and "temperature" not in warning


def test_a_gap_that_was_not_filled_warns(warehouse: Settings, landed: psycopg.Connection) -> None:
    landed.execute(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause, repaired) VALUES "
        "(1, '2026-06-15 10:20Z', NULL, 'x', false), (1, '2026-06-15 10:25Z', '2026-06-15 10:26Z', 'x', false), "
        "(2, '2026-06-15 08:00Z', '2026-06-15 10:30Z', 'x', true)"
    )
    (warning,) = check(warehouse, "raw_landings", MOMENT, hours=1).warnings
    assert warning.startswith("gaps: ") and "temperature" in warning and "vibration" not in warning


def test_a_day_in_which_nothing_landed_of_any_server_blocks(warehouse: Settings, landed: psycopg.Connection) -> None:
    landed.execute("INSERT INTO raw.tag_latest (tag_id, source_ts, status) VALUES (1, %s, 0)", (MOMENT,))
    assert check(warehouse, "raw_landings", MOMENT + timedelta(hours=23)).succeeded
    (failure,) = check(warehouse, "raw_landings", MOMENT + timedelta(days=2), hours=1).failures
    assert failure.startswith("silence: ") and "newest_reading 2026-06-15 10:30 UTC, age_hours 48" in failure
    # A moment that is past has what had landed by then: the last that there is says nothing of it.
    landed.execute("UPDATE raw.tag_latest SET source_ts = source_ts + interval '3 days'")
    assert check(warehouse, "raw_landings", MOMENT).succeeded


def test_a_week_lost_by_more_than_half_blocks(warehouse: Settings, landed: psycopg.Connection) -> None:
    # One of two tags for the whole week is half; an incident of an hour of the other one is too much.
    landed.execute("INSERT INTO raw.sensor_gaps (tag_id, from_ts, cause) VALUES (1, '2026-06-01Z', 'x')")
    result = check(warehouse, "raw_landings", MOMENT)
    assert result.succeeded and [warning.partition(":")[0] for warning in result.warnings] == ["gaps"]
    landed.execute(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause)"
        " VALUES (2, '2026-06-10Z', '2026-06-10 01:00Z', 'x')"
    )
    (failure,) = check(warehouse, "raw_landings", MOMENT).failures
    assert failure.startswith("lost time: ") and "covered_share 0.497" in failure


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [("raw_landings", "nothing has landed"), ("training_set", "ml_training_set: exists (run: python -m warehouse")],
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
        ("UPDATE marts.gold_ml_features SET temperature_mean_60m = NULL WHERE window_end > '2026-06-15 10:00Z'", "completeness: 99 % of the running minutes"),  # noqa: E501
        ("UPDATE marts.gold_ml_features SET temperature_mean_60m = 9999 WHERE window_end > '2026-06-15 10:00Z'", "ranges: 99 % of the means"),  # noqa: E501
        ("UPDATE marts.gold_ml_features SET window_end = window_end - interval '3 days', available_at = available_at - interval '3 days'", "freshness: the newest window"),  # noqa: E501
        ("UPDATE marts.gold_ml_features SET available_at = window_end - interval '6 hours' WHERE window_end > '2026-06-15 10:29Z'", "timestamps: no window ended"),  # noqa: E501
        ("INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at, available_at) SELECT h::text, 'P1', 'bearing', 'bearing_wear', h, h FROM generate_series('2026-06-14 12:00Z'::timestamptz, '2026-06-15 10:00Z', '6 hours') h", "class balance: at most half"),  # noqa: E501
        ("UPDATE marts.gold_ml_features SET equipment_id = NULL WHERE window_end > '2026-06-15 10:29Z'", "equipment_id: never null"),  # noqa: E501
    ],
)  # fmt: skip
def test_an_unsound_training_set_blocks(warehouse: Settings, gold: psycopg.Connection, damage: str, words: str) -> None:
    gold.execute(damage)
    result = check(warehouse, "training_set", MOMENT)
    assert not result.succeeded
    assert any(failure.startswith(words) for failure in result.failures), result.failures


def test_a_row_far_back_that_is_learnt_from_blocks_and_is_named(warehouse: Settings, gold: psycopg.Connection) -> None:
    gold.execute(
        "INSERT INTO marts.gold_ml_features (equipment_id, window_end, is_running, available_at, temperature_mean_60m, "
        "temperature_deviation_60m) SELECT 'P1', w, true, w, 20, 0.1 "
        f"FROM generate_series(%(m)s - interval '90 days', %(m)s - interval '1500 min', '1 min') AS w WHERE {ON_GRID}",
        {"m": MOMENT},
    )
    assert check(warehouse, "training_set", MOMENT) == CheckpointResult(True)
    seen = dict(gold.execute("SELECT subject, observed ->> 'value' FROM ops.data_quality_results").fetchall())
    drawn = gold.execute(f"SELECT count(*)::text FROM marts.gold_ml_features AS g (e, w) WHERE {ON_GRID}").fetchone()
    assert (seen["rows"],) == drawn and seen["draw"] == "10", "one minute in ten, as training draws it"

    hot, far, fahrenheit, stopped, late = (
        row[0]
        for days in (60, 30, 80, 20, 10)
        for row in gold.execute(
            "SELECT min(window_end) FROM marts.gold_ml_features WHERE window_end > %s", (MOMENT - timedelta(days=days),)
        ).fetchall()
    )
    damage = "UPDATE marts.gold_ml_features SET {} WHERE window_end = %s"
    gold.execute(damage.format("temperature_mean_60m = 9999"), (hot,))
    gold.execute(damage.format("vibration_deviation_5m = 'Infinity'"), (far,))
    # No training takes these; and what was told in another unit then isn't held against today's.
    gold.execute(damage.format("temperature_mean_60m = 9999, is_running = false"), (stopped,))
    gold.execute(damage.format("temperature_mean_60m = 9999, available_at = window_end + interval '1 h'"), (late,))
    gold.execute(damage.format("temperature_mean_60m = 2500"), (fahrenheit,))
    gold.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, unit, data_type, valid_from, "
        "valid_to) VALUES ('s', 'T', 'P1', 'temperature', '°F', 'double', '-infinity', %s)",
        (MOMENT - timedelta(days=70),),
    )
    assert check(warehouse, "training_set", MOMENT).failures == [
        "ranges of the set: no row drawn has a mean impossible in its unit. Got: 1 of 3 rows (measurement temperature, "
        f"unit °C, first {hot:%Y-%m-%d %H:%M} UTC of P1, impossible 1)",
        "deviations of the set: in every row drawn finite, within ± a million. Got: 1 of 3 rows (measurement "
        f"vibration, unit None, first {far:%Y-%m-%d %H:%M} UTC of P1, far_out 1)",
    ]
    # A moment before them knows nothing of them.
    assert check(warehouse, "training_set", hot - timedelta(minutes=1)).failures == []


def test_a_minute_that_only_a_failure_or_an_answer_draws_blocks_too(
    warehouse: Settings, gold: psycopg.Connection
) -> None:
    """A week that is dense, so that training takes one minute of ten but for those before a fault and of an answer."""
    gold.execute(
        "INSERT INTO marts.gold_ml_features (equipment_id, window_end, is_running, available_at, temperature_mean_60m, "
        "temperature_deviation_60m) SELECT 'P1', w, true, w, 20, 0.1 "
        f"FROM generate_series(%(m)s - interval '90 days', %(m)s - interval '1500 min', '1 min') AS w "
        f"WHERE {ON_GRID} OR w > %(m)s - interval '7 days'",
        {"m": MOMENT},
    )
    gold.execute(
        "INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, source, source_id, judged_at) SELECT 'P1',"
        " %(m)s - interval '3 days 10 min', %(m)s - interval '3 days', 'false_positive', 'feedback', 'f', %(m)s",
        {"m": MOMENT},
    )
    between = f"SELECT max(w) FROM generate_series(%s - interval '9 min', %s, '1 min') AS w WHERE NOT ({ON_GRID})"
    failed, answered, nobodys = (
        gold.execute(between, (at, at)).fetchone()
        for at in (MOMENT - timedelta(hours=25), MOMENT - timedelta(days=3), MOMENT - timedelta(days=5))
    )
    damage = "UPDATE marts.gold_ml_features SET temperature_mean_60m = 9999 WHERE window_end = %s"
    gold.execute(damage, nobodys)
    assert check(warehouse, "training_set", MOMENT).failures == [], "no training draws it"
    for minute in (failed, answered):
        gold.execute(damage, minute)
    assert answered is not None
    assert check(warehouse, "training_set", MOMENT).failures == [
        "ranges of the set: no row drawn has a mean impossible in its unit. Got: 1 of 1 rows (measurement temperature, "
        f"unit °C, first {answered[0]:%Y-%m-%d %H:%M} UTC of P1, impossible 2)"
    ]


def test_missing_deviations_warn(warehouse: Settings, gold: psycopg.Connection) -> None:
    gold.execute("UPDATE marts.gold_ml_features SET temperature_deviation_60m = NULL")
    result = check(warehouse, "training_set", MOMENT)
    assert result.succeeded
    assert "deviations" in result.warnings[0] and "temperature" in result.warnings[0]


def test_a_plant_without_a_known_failure_is_warned_that_nothing_can_be_learnt_of_one(
    warehouse: Settings, gold: psycopg.Connection
) -> None:
    gold.execute("DELETE FROM raw.cmms_failures")
    result = check(warehouse, "training_set", MOMENT)
    assert result.succeeded
    assert [warning.partition(":")[0] for warning in result.warnings] == ["precedents"]


def test_a_sensor_that_joined_late_isnt_missed_before(warehouse: Settings, gold: psycopg.Connection) -> None:
    gold.execute("UPDATE marts.gold_ml_features SET temperature_mean_60m = NULL WHERE window_end < '2026-06-15'")
    assert check(warehouse, "training_set", MOMENT).succeeded


def test_rows_are_compared_with_those_of_the_week_before_on_one_grid(
    warehouse: Settings, gold: psycopg.Connection
) -> None:
    # The week before is kept as a first build writes it, a minute of ten: as many of those are no fewer.
    insert = (
        "INSERT INTO marts.gold_ml_features (equipment_id, window_end, is_running, available_at) "
        "SELECT 'P1', w, true, w FROM generate_series(%s - interval '8 days 1 hour', %s - interval '7 days', '1 min')"
        f" AS w WHERE {sql_on_grid('w')}"
    )
    gold.execute(insert, (MOMENT, MOMENT))
    gold.execute(insert, (MOMENT - timedelta(days=7), MOMENT - timedelta(days=7)))
    assert check(warehouse, "training_set", MOMENT).warnings == []
    gold.execute(
        "DELETE FROM marts.gold_ml_features WHERE window_end BETWEEN '2026-06-14 12:00Z' AND '2026-06-15 10:00Z'"
    )
    gold.execute(insert, (MOMENT - timedelta(days=2), MOMENT - timedelta(days=2)))
    assert [w.partition(":")[0] for w in check(warehouse, "training_set", MOMENT).warnings] == ["volume"]


def test_a_window_after_the_moment_is_not_looked_at(warehouse: Settings, gold: psycopg.Connection) -> None:
    gold.execute("UPDATE marts.gold_ml_features SET temperature_deviation_60m = 'NaN' WHERE window_end = %s", (MOMENT,))
    assert check(warehouse, "training_set", MOMENT - timedelta(minutes=1)).succeeded


def test_an_unknown_checkpoint_names_the_known_ones(warehouse: Settings) -> None:
    with pytest.raises(WarehouseError, match=r"must be one of raw_landings, training_set\. Got: 'gold'"):
        check(warehouse, "gold", MOMENT)


def test_the_page_shows_what_failed_what_it_holds_back_and_how_it_went_before(
    warehouse: Settings, landed: psycopg.Connection
) -> None:
    check(warehouse, "raw_landings", MOMENT - timedelta(hours=1))
    landed.execute("UPDATE raw.sensor_events SET value = 9999 WHERE tag_id = 1 AND digest <= 100")
    landed.execute("UPDATE raw.tags SET measurement = 'a<b' WHERE tag_id = 1")
    check(warehouse, "raw_landings", MOMENT)
    page = data_docs(warehouse).read_text()
    assert '<span class="failed">failed</span>' in page and "10 checks,\n1 failed, 0 warned" in page
    row = page[page.index("<td>ranges</td>") :].partition("</tr>")[0]
    assert "99 % of values are possible in their unit" in row and "blocks training" in row
    assert "1 of 2 rows (unit °C, measurement a&lt;b, implausible_share 0.02778)" in row
    assert row.count("<i ") == 2 and row.count('<i class="failed"') == 1 and "09:30 UTC: passed" in row
    assert not re.search(r"https?://", page)


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
