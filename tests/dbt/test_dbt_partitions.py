"""Silver and gold are tables by the day: a run makes the days that it needs and looks at no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.dbt.site import MINUTE, START, TEMPERATURE, Site, land
from warehouse.partitions import keep_marts, keep_raw

MARTS = ("marts.silver_enriched_sensors", "marts.gold_ml_features")


def days(site: Site, mart: str) -> list[str]:
    """The days of the mart's partitions."""
    rows = site.admin.execute(
        "SELECT right(c.relname, 8) FROM pg_inherits AS i INNER JOIN pg_class AS c ON i.inhrelid = c.oid"
        " WHERE i.inhparent = %s::regclass ORDER BY 1",
        (mart,),
    )
    return [name for (name,) in rows]


def unhurried(site: Site) -> list[str]:
    """Tables of the minute, and days of marts, that wait for a fifth of their rows to be dead."""
    rows = site.admin.execute(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND (relnamespace = 'partitions'::regnamespace"
        " OR oid = ANY('{intermediate.int_sensor_minutes,intermediate.int_equipment_minutes,"
        "intermediate.int_sensor_hours,intermediate.int_baselines}'::regclass[]))"
        " AND 'autovacuum_vacuum_scale_factor=0.02' <> ALL(coalesce(reloptions, '{}')) ORDER BY 1"
    )
    return [name for (name,) in rows]


def rolled_up(site: Site) -> list[dict[str, Any]]:
    return site.rows("intermediate.int_sensor_minutes", "tag_id, minute")


def test_a_full_refresh_and_a_late_day_bring_the_partitions_that_they_need(site: Site) -> None:
    midnight = START + timedelta(days=1)
    land(site.admin, [(TEMPERATURE, midnight + n * MINUTE, 60.0 + n, None, 0, n) for n in range(-3, 3)])
    site.transform(midnight + 3 * MINUTE, "+tag:minute")
    for mart in MARTS:
        assert days(site, mart) == ["20260302", "20260303"]
    # Three days before, and its last minute, whose window ends on the next day.
    early = START - timedelta(days=2) - MINUTE
    land(site.admin, [(TEMPERATURE, early + timedelta(seconds=n), 55.0 + n, None, 0, n) for n in range(3)])
    site.transform(midnight + 4 * MINUTE)
    for mart in MARTS:
        assert days(site, mart) == ["20260228", "20260302", "20260303"]
    before = [site.rows(mart, "window_end, 1") for mart in MARTS]
    assert [len(rows) for rows in before] == [7, 7]

    # Retention drops the readings. One more of a minute is less than what it was made of, and replaces nothing: not
    # where everything is read again, nor in an update.
    minutes = rolled_up(site)
    settings = site.settings.model_copy(update={
        "raw_retention_days": 1, "silver_retention_days": 1, "gold_retention_days": 1, "partitions_ahead_days": 1,
    })  # fmt: skip
    assert [name[-8:] for name in keep_raw(settings, midnight).dropped] == ["20260227", "20260228", "20260301"]
    site.admin.execute("SELECT raw.ensure_partitions(%(at)s, %(at)s)", {"at": early})
    land(site.admin, [(TEMPERATURE, early + timedelta(seconds=30), 99.0, None, 0, 30)])
    site.admin.execute("DELETE FROM ops.watermarks")
    site.transform(midnight + 4 * MINUTE, full_refresh=True)
    assert rolled_up(site) == minutes
    for mart, rows in zip(MARTS, before, strict=True):
        assert site.rows(mart, "window_end, 1") == rows
        assert days(site, mart) == ["20260228", "20260302", "20260303"]
    left = site.admin.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'partitions'::regnamespace"
                              " AND relkind = 'r'").fetchone()  # fmt: skip
    assert left == (6,)
    assert unhurried(site) == []

    # A table of before is told so by the next run.
    site.admin.execute("ALTER TABLE intermediate.int_sensor_hours RESET (autovacuum_vacuum_scale_factor)")
    assert unhurried(site) == ["int_sensor_hours"]
    site.transform(midnight + 5 * MINUTE)
    assert unhurried(site) == []

    # The day goes from the marts as well. What a shift and a master record say of all days reaches, ten days later,
    # those that the marts still have, and brings none back.
    assert [name[-8:] for name in keep_marts(settings, midnight).dropped] == ["20260228", "20260228"]
    land(site.admin, [(TEMPERATURE, early + timedelta(seconds=31), 99.0, None, 0, 31)])
    site.admin.execute(
        "INSERT INTO raw.sap_equipment (equipment_id, plant_id, model, criticality, commissioned_on, available_at)"
        " VALUES ('A', 'P', 'X', 'B', '2026-01-01', %s)",
        (midnight,),
    )
    site.admin.execute(
        "INSERT INTO raw.mes_shifts (shift_id, shift, starts_at, ends_at, available_at)"
        " VALUES ('S', 'night', %s, %s, %s)",
        (early - MINUTE, midnight + timedelta(days=1), midnight),
    )
    site.transform(midnight + timedelta(days=10))
    assert rolled_up(site) == minutes
    gold, silver = (site.rows(mart, "window_end, 1") for mart in reversed(MARTS))
    assert {row["equipment_age_days"] for row in gold} == {61.0} and len(gold) == 6
    assert {(row["shift"], row["asset_criticality"]) for row in silver} == {("night", "B")} and len(silver) == 6
    for mart in MARTS:
        assert {"20260227", "20260228"}.isdisjoint(days(site, mart))
