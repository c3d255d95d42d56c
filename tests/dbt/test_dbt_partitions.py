"""Silver and gold are tables by the day: a run makes the days that it needs and looks at no other."""

from __future__ import annotations

from datetime import timedelta

from tests.dbt.site import MINUTE, START, TEMPERATURE, Site, land
from warehouse.partitions import keep_raw

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

    # Retention drops the readings. One more of a minute is less than what it was made of, and replaces nothing:
    # neither in an update nor where everything is read again.
    rolled_up = site.rows("intermediate.int_sensor_minutes", "tag_id, minute")
    settings = site.settings.model_copy(update={"raw_retention_days": 1})
    assert keep_raw(settings, midnight).dropped == [
        "sensor_events_20260227",
        "sensor_events_20260228",
        "sensor_events_20260301",
    ]
    site.admin.execute("SELECT raw.ensure_partitions(%(at)s, %(at)s)", {"at": early})
    land(site.admin, [(TEMPERATURE, early + timedelta(seconds=30), 99.0, None, 0, 30)])
    site.transform(midnight + 4 * MINUTE)
    assert site.rows("intermediate.int_sensor_minutes", "tag_id, minute") == rolled_up
    site.admin.execute("DELETE FROM ops.watermarks")
    site.transform(midnight + 4 * MINUTE, full_refresh=True)
    assert site.rows("intermediate.int_sensor_minutes", "tag_id, minute") == rolled_up
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
