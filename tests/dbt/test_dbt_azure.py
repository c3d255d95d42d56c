"""The whole project on a plant that it was not made for: a year of three machines, a value every three hours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tests.integration.ingest.test_ingest_azure import land_azure
from warehouse.settings import Settings
from warehouse.transform import build

END = datetime(2016, 1, 2, tzinfo=UTC)


def test_a_year_of_a_historian_becomes_features_with_its_cmms(
    warehouse: Settings, admin: psycopg.Connection, recorded_data: Path, tmp_path: Path
) -> None:
    landed = land_azure(warehouse, recorded_data / "azure_pdm", tmp_path, 3)
    result = build(warehouse, END, variables={"gold_days": 400, "silver_days": 400})
    assert result.succeeded, result.failures
    assert admin.execute("SELECT count(*) FROM marts.silver_enriched_sensors").fetchone() == (landed,)
    assert admin.execute("SELECT count(*) FROM marts.gold_ml_features").fetchone() == (landed // 4,)
