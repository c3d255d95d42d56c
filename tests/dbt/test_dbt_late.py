"""Late data: however a day arrives, the tables are those of one full refresh over the same rows."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.dbt.arrivals import CHAINS, DAY, batches, history
from tests.dbt.site import Site, assert_equal, land
from warehouse.roles import Role, connect
from warehouse.settings import Settings

# Seven runs of dbt behind one fixture: a busy machine takes its time.
pytestmark = pytest.mark.timeout(600)
# Every run of the tests tries the same order; `MILLWRIGHT_SEED=7 pytest tests/dbt/test_dbt_late.py` another one.
SEED = int(os.environ.get("MILLWRIGHT_SEED", "1"))
# Versions of baselines are frozen: those of the first build stay, here as in a plant.
FROZEN = "int_baselines"
KEYED = """
SELECT n.nspname || '.' || c.relname, array_agg(a.attname::text ORDER BY a.attname)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('intermediate', 'marts')
JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisunique
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> %s
GROUP BY 1 ORDER BY 1
"""


def tables(admin: psycopg.Connection) -> dict[str, tuple[str, ...]]:
    """Tables that the minute path writes, each with its key."""
    return {name: tuple(key) for name, key in admin.execute(KEYED, (FROZEN,)).fetchall()}


def read(site: Site, keys: dict[str, tuple[str, ...]]) -> dict[str, list[dict[str, Any]]]:
    return {name: site.rows(name, ", ".join(key)) for name, key in keys.items()}


@pytest.fixture(scope="module")
def built(site: Site, cluster: Settings) -> tuple[dict[str, Any], dict[str, Any], dict[str, tuple[str, ...]]]:
    """The tables after the day's batches, then after a full refresh; and their keys."""
    site.admin.execute("SELECT raw.ensure_partitions('2026-03-28Z', '2026-03-30Z')")
    land(site.admin, history(DAY - timedelta(hours=9), 5 * 60, SEED))
    site.transform(DAY + timedelta(minutes=1), "+tag:minute")
    arrived, slow_readings = batches(SEED, CHAINS)
    with connect(site.settings, Role.ADMIN) as slow, connect(cluster, Role.ADMIN) as elsewhere:
        elsewhere.execute("SELECT pg_current_xact_id()")
        with slow.transaction():
            land(slow, slow_readings)
            for batch in arrived[:3]:
                batch.arrive(site.admin)
                site.transform(batch.moment)
        slow.commit()
        for batch in arrived[3:]:
            batch.arrive(site.admin)
            site.transform(batch.moment)
        elsewhere.rollback()
    keys = tables(site.admin)
    landed = read(site, keys)
    for table in keys:
        site.admin.execute(f"DROP TABLE {table} CASCADE")  # type: ignore[call-overload]
    site.admin.execute("DELETE FROM ops.watermarks")
    site.transform(arrived[-1].moment, "+tag:minute")
    return landed, read(site, keys), keys


def test_the_day_holds_what_makes_it_hard(built: Any, site: Site) -> None:
    landed, _, keys = built
    assert set(keys) == {
        "intermediate.int_sensor_minutes", "intermediate.int_equipment_minutes", "intermediate.int_sensor_hours",
        "marts.silver_enriched_sensors", "marts.gold_ml_features",
    }  # fmt: skip
    gold = landed["marts.gold_ml_features"]
    assert {row["equipment_id"] for row in gold} == {"A", "B", "C"}
    assert {row["regime"] for row in gold if row["equipment_id"] == "A"} >= {0, 3, 5, 6, 7}
    assert any(row["temperature_deviation_5m"] is not None for row in gold)
    assert {row["in_maintenance"] for row in gold} == {row["over_gap"] for row in gold} == {True, False}
    silver = landed["marts.silver_enriched_sensors"]
    assert {row["order_id"] for row in silver} == {"O-S2", "O-S3", "O1", None}
    quality = site.admin.execute("SELECT count(DISTINCT status), bool_or(value = 'NaN') FROM raw.sensor_events")
    assert quality.fetchone() == (3, True)


@pytest.mark.parametrize(
    "table",
    [
        "intermediate.int_sensor_minutes",
        "intermediate.int_equipment_minutes",
        "intermediate.int_sensor_hours",
        "marts.silver_enriched_sensors",
        "marts.gold_ml_features",
    ],
)
def test_batches_in_any_order_equal_one_full_refresh(built: Any, table: str) -> None:
    landed, refreshed, keys = built
    assert len(landed[table]) > 100
    assert_equal(landed[table], refreshed[table], keys[table])
