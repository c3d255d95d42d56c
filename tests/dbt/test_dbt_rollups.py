"""Roll-ups against sums done by hand, and what gaps and work orders that come late change in them."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dbt.site import OTHER_TEMPERATURE, STATE, TEMPERATURE, Reading, Site, day, land

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MOMENT = START + 3 * 60 * MINUTE
B_MINUTES = "equipment_id = 'B' AND minute >= '2026-03-02 10:00Z' AND minute < '2026-03-02 12:00Z'"


@pytest.fixture(scope="module")
def rolled_up(site: Site) -> list[Reading]:
    """Two hours of readings, rolled up."""
    readings = day(START, 120, seed=5)
    land(site.admin, readings)
    site.transform(MOMENT, "+tag:minute")
    return readings


def _good_values(readings: list[Reading]) -> dict[tuple[int, datetime], list[tuple[float, float]]]:
    """(second, value) of the good readings by tag and minute; of two with one timestamp the good one counts."""
    good: dict[tuple[int, datetime], dict[float, float]] = defaultdict(dict)
    for tag, at, value, _, status, _ in readings:
        if status == 0 and value is not None and value == value:
            good[tag, at.replace(second=0)][at.second] = value
    return {key: sorted(values.items()) for key, values in good.items()}


def test_a_value_holds_until_the_next_one(site: Site, rolled_up: list[Reading]) -> None:
    expected = {}
    for key, values in _good_values(rolled_up).items():
        begins = [0.0, *(second for second, _ in values[1:])]
        ends = [*begins[1:], 60.0]
        pairs = zip(values, begins, ends, strict=True)
        expected[key] = sum(value * (end - begin) for (_, value), begin, end in pairs) / 60
    rows = site.rows("intermediate.int_sensor_minutes", "tag_id, minute", f"tag_id <> {STATE}")
    got = {(row["tag_id"], row["minute"]): row["value_twa"] for row in rows if row["value_mean"] is not None}
    assert got == pytest.approx(expected, rel=1e-12)
    assert any(row["value_twa"] != pytest.approx(row["value_mean"]) for row in rows if row["value_mean"])
    assert sum(row["bad_count"] for row in rows) == sum(row["reading_count"] - row["good_count"] for row in rows) > 0


def test_the_hours_of_a_tag_pool_to_the_moments_of_its_minutes(site: Site, rolled_up: list[Reading]) -> None:
    minutes = site.rows("intermediate.int_sensor_minutes", "tag_id, minute", f"tag_id = {TEMPERATURE}")
    means = [row["value_mean"] for row in minutes if row["value_mean"] is not None]
    mean = sum(means) / len(means)
    hours = site.rows("intermediate.int_sensor_hours", "tag_id, hour, regime", f"tag_id = {TEMPERATURE}")
    assert len(hours) > 2  # hours are cut by regime, too
    counted = [row for row in hours if row["all_count"]]
    away = [(row["all_mean"] - mean, row) for row in counted]
    assert sum(row["all_count"] for row in hours) == len(means)
    assert sum(row["all_count"] * row["all_mean"] for row in counted) / len(means) == pytest.approx(mean, rel=1e-12)
    assert sum(row["all_m2"] + row["all_count"] * d**2 for d, row in away) == pytest.approx(
        sum((x - mean) ** 2 for x in means), rel=1e-9
    )
    assert sum(row["all_m3"] + 3 * d * row["all_m2"] + row["all_count"] * d**3 for d, row in away) == pytest.approx(
        sum((x - mean) ** 3 for x in means), rel=1e-7, abs=1e-7
    )
    assert sum(row["bad_count"] for row in hours) == sum(row["bad_count"] for row in minutes)
    assert sum(row["reading_count"] for row in hours) == sum(row["reading_count"] for row in minutes)


def _of_b(site: Site, *columns: str) -> dict[int, Any]:
    """Columns of machine B's minutes, by the minute after START."""
    rows = site.rows("intermediate.int_equipment_minutes", "equipment_id, minute", B_MINUTES)
    return {int((row["minute"] - START) / MINUTE): tuple(row[name] for name in columns) for row in rows}


def test_late_gaps_and_work_orders_change_the_minutes_that_they_cover_and_covered(
    site: Site, rolled_up: list[Reading]
) -> None:
    before = _of_b(site, "in_maintenance", "gap_seconds")
    assert set(before.values()) == {(False, 0.0)}
    reported = sorted(before)
    first, last = reported[3], reported[5]
    site.admin.execute(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause) VALUES (%s, %s, %s, 'away')",
        (OTHER_TEMPERATURE, START + first * MINUTE + timedelta(seconds=45), START + last * MINUTE + 0.25 * MINUTE),
    )
    site.admin.execute(
        "INSERT INTO raw.cmms_work_orders (work_order_id, equipment_id, kind, opened_at, started_at, completed_at,"
        " available_at) VALUES ('W', 'B', 'preventive', %(at)s, %(at)s, %(to)s, %(to)s)",
        {"at": START + 20 * MINUTE, "to": START + 30 * MINUTE},
    )
    site.transform(MOMENT + MINUTE)
    after = _of_b(site, "in_maintenance", "gap_seconds", "gap_tags")
    assert {minute: row[1:] for minute, row in after.items() if row[1]} == {first: (15.0, 1), last: (15.0, 1)}
    assert [minute for minute, row in after.items() if row[0]] == [m for m in reported if 20 <= m < 30]
    hours = site.rows("intermediate.int_sensor_hours", "tag_id, hour, regime", f"tag_id = {OTHER_TEMPERATURE}")
    assert sum(row["gap_seconds"] for row in hours) == 30
    assert sum(row["minute_count"] for row in hours) < sum(row["all_count"] for row in hours)

    site.admin.execute("UPDATE raw.sensor_gaps SET repaired = true")
    site.admin.execute(
        "UPDATE raw.cmms_work_orders SET started_at = %s, completed_at = %s",
        (START + 80 * MINUTE, START + 90 * MINUTE),
    )
    site.transform(MOMENT + 2 * MINUTE)
    moved = _of_b(site, "in_maintenance", "gap_seconds")
    assert [minute for minute, row in moved.items() if row[0]] == [m for m in reported if 80 <= m < 90]
    assert {row[1] for row in moved.values()} == {0.0}
    former = site.admin.execute("SELECT row FROM raw.former_rows WHERE table_name = 'sensor_gaps'").fetchall()
    assert [row["repaired"] for (row,) in former] == [False]


def test_a_gap_that_was_only_asked_about_touches_nothing(site: Site, rolled_up: list[Reading]) -> None:
    def marks() -> list[Any]:
        return site.admin.execute("SELECT gap_id, changed_xid FROM raw.sensor_gaps ORDER BY gap_id").fetchall()

    site.admin.execute(
        "INSERT INTO raw.sensor_gaps (tag_id, from_ts, to_ts, cause) VALUES (%s, %s, %s, 'away')",
        (TEMPERATURE, START, START + MINUTE),
    )
    before = marks()
    site.admin.execute("UPDATE raw.sensor_gaps SET attempts = attempts + 1, tried_at = clock_timestamp()")
    assert marks() == before
