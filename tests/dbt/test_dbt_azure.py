"""The whole project on a plant that it was not made for: two machines, three hours a value, a year of failures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tests.dbt.site import Site
from tests.integration.ingest.test_ingest_azure import land_azure
from warehouse.settings import Settings

# Rows whose figures of the CMMS are not those that its tables give.
WRONG = """
SELECT count(*) FROM marts.gold_ml_features AS g WHERE
    g.errors_24h IS DISTINCT FROM (
        SELECT count(*) FROM raw.cmms_errors AS e WHERE e.equipment_id = g.equipment_id
        AND e.occurred_at > g.window_end - interval '24 hours' AND e.occurred_at <= g.window_end)
    OR g.failures_90d IS DISTINCT FROM (
        SELECT count(*) FROM raw.cmms_failures AS f WHERE f.equipment_id = g.equipment_id
        AND f.failed_at > g.window_end - interval '90 days' AND f.failed_at <= g.window_end)
    OR abs(g.hours_since_maintenance - (
        SELECT extract(EPOCH FROM g.window_end - max(m.performed_at)) / 3600 FROM raw.cmms_maintenance AS m
        WHERE m.equipment_id = g.equipment_id AND m.performed_at <= g.window_end)) > 1e-6
"""
# Rows of silver and of the board that tell another latest maintenance than gold does.
DIFFERENT = """
SELECT
    (SELECT count(*) FROM marts.silver_enriched_sensors AS s
        JOIN marts.gold_ml_features AS g USING (equipment_id, window_end)
        WHERE (abs(s.days_since_maintenance * 24 - g.hours_since_maintenance) < 1e-6) IS NOT TRUE),
    (SELECT count(*) FROM marts.mart_predictive_maintenance AS p WHERE p.last_maintenance_at IS DISTINCT FROM (
        SELECT max(m.performed_at) FROM raw.cmms_maintenance AS m
        WHERE m.equipment_id = p.equipment_id AND m.performed_at <= %s))
"""
END = datetime(2016, 1, 2, tzinfo=UTC)


def test_the_readings_of_a_historian_become_features_with_its_cmms(
    warehouse: Settings, admin: psycopg.Connection, parsed: Path, recorded_data: Path, tmp_path: Path
) -> None:
    # A quarter of the telemetry: each day is a partition more for every query.
    land_azure(warehouse, recorded_data / "azure_pdm", tmp_path, 2, since=datetime(2015, 10, 1))  # noqa: DTZ001
    Site(warehouse, admin, parsed).transform(END, None, tests=False)
    counts = admin.execute(
        "SELECT (SELECT count(*) FROM marts.silver_enriched_sensors),"
        " (SELECT count(*) FROM raw.sensor_events WHERE source_ts >= '2015-12-26'),"
        " (SELECT count(*) FROM marts.gold_ml_features WHERE window_end > '2015-12-03'),"
        " (SELECT count(*) / 4 FROM raw.sensor_events WHERE source_ts >= '2015-12-03')"
    ).fetchone()
    assert counts is not None
    assert counts[0] == counts[1] > 0
    assert counts[2] == counts[3] > 0
    assert admin.execute(WRONG).fetchone() == (0,)
    assert admin.execute(DIFFERENT, (END,)).fetchone() == (0, 0)
    most = admin.execute(
        "SELECT max(errors_24h), max(failures_90d), max(hours_since_maintenance) FROM marts.gold_ml_features"
    )
    assert all(value > 0 for value in most.fetchone() or ())
