"""A warehouse of an older version, as a dump of it, comes up to date with everything that was in it.

`dumps/NNNN.sql` is what `pg_dump --inserts` says of a warehouse at that migration, with a plant and a few rows of each
kind; a dump is never made anew, for it is what plants have.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from warehouse.migrate import MIGRATIONS, create_databases, migrate, missing
from warehouse.roles import Role, connect, url
from warehouse.server import BINARIES
from warehouse.settings import Settings

DUMPS = sorted(Path(__file__).with_name("dumps").glob("*.sql"))
KEPT = {
    "raw.tags": 59,
    "raw.sensor_events": 30,
    "raw.tag_latest": 3,
    "raw.sensor_gaps": 2,
    "raw.rejected_events": 1,
    "serving.critical_alerts": 1,
    "serving.recommendations_serving": 1,
    "serving.operator_answers": 1,
}


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def older(request: pytest.FixtureRequest, cluster: Settings) -> Iterator[Settings]:
    """A database restored from a dump."""
    name = f"older_{request.param.stem}"
    settings = cluster.model_copy(update={"pgdatabase": name})
    create_databases(settings)
    where = url(settings, Role.ADMIN).replace("+psycopg", "")
    subprocess.run(
        [BINARIES / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", request.param, where], check=True, capture_output=True
    )
    yield settings
    with connect(cluster, Role.ADMIN, "postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def counts(connection: psycopg.Connection) -> dict[str, int]:
    found = {}
    for table in KEPT:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
        assert row is not None
        found[table] = row[0]
    return found


def test_an_older_warehouse_is_migrated_and_keeps_its_rows(older: Settings) -> None:
    applied = migrate(older)
    assert applied == [path.stem for path in sorted(MIGRATIONS.glob("*.sql")) if path.stem[:4] > older.pgdatabase[-4:]]
    assert missing(older) == []
    with connect(older, Role.ADMIN) as connection:
        assert counts(connection) == KEPT


def test_an_upgraded_warehouse_has_the_tables_of_a_fresh_one(older: Settings, cluster: Settings) -> None:
    migrate(older)
    columns = (
        "SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema IN ('raw', 'ml', 'serving', 'ops')"
        " AND table_name NOT LIKE 'sensor\\_events\\_2%' ORDER BY 1, 2, 3"
    )
    with connect(older, Role.ADMIN) as upgraded, connect(cluster, Role.ADMIN) as fresh:
        assert upgraded.execute(columns).fetchall() == fresh.execute(columns).fetchall()


def test_readings_that_were_rejected_twice_become_one_row(older: Settings) -> None:
    columns = "tag_id, server, node_id, source_ts, payload, status, reason, origin"
    # Since 0010 a second one isn't taken in the first place.
    again = (
        f"INSERT INTO raw.rejected_events ({columns}) SELECT {columns} FROM raw.rejected_events ON CONFLICT DO NOTHING"
    )
    with connect(older, Role.ADMIN, autocommit=True) as connection:
        for _ in range(2):
            connection.execute(again)  # type: ignore[arg-type]
        migrate(older)
        assert counts(connection)["raw.rejected_events"] == KEPT["raw.rejected_events"]


def test_of_several_open_alerts_of_a_cause_the_severest_stays_open(older: Settings) -> None:
    with connect(older, Role.ADMIN, autocommit=True) as admin:
        admin.execute("UPDATE serving.critical_alerts SET state = 'cleared'")
        admin.execute(
            "INSERT INTO serving.critical_alerts (equipment_id, tag_id, measurement, timestamp, severity, direction,"
            " value, limit_value, action_code, recommendation_text)"
            " SELECT 'PUMP', 1, 'temperature', '2026-01-01', s, d, 95, 80, 'preventive_inspection', 'Hot'"
            " FROM unnest(ARRAY['warning', 'emergency', 'critical']) AS s, unnest(ARRAY['high', 'low']) AS d"
        )
        migrate(older)
        left = admin.execute(
            "SELECT severity, direction FROM serving.critical_alerts WHERE state <> 'cleared'"
        ).fetchall()
    assert sorted(left) == [("emergency", "high"), ("emergency", "low")]
