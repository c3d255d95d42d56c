"""The exports fit the tables they are loaded into: columns, types, keys and checks."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from ingest.plant import load_plant
from simulator.history import write_history

PLANT = Path(__file__).parents[3] / "plant.yml"
TABLES = (
    "mes_shifts", "mes_schedules", "mes_quality_inspections", "sap_equipment", "sap_spare_parts", "cmms_work_orders",
    "cmms_failures",
)  # fmt: skip


def copy(connection: psycopg.Connection, path: Path, schema: str, table: str) -> int:
    with path.open() as file:
        columns = next(csv.reader(file))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as into:
        into.write(path.read_bytes())
    return int(
        connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))).fetchone()[0]
    )


def test_every_export_copies_into_its_table(admin: psycopg.Connection, tmp_path: Path) -> None:
    write_history(load_plant(PLANT), 7, 25, datetime(2026, 1, 31, tzinfo=UTC), tmp_path)
    for table in TABLES:
        assert copy(admin, tmp_path / f"{table}.csv", "raw", table) > 0, table
    recommendations = copy(admin, tmp_path / "past_recommendations.csv", "serving", "recommendations_serving")
    answers = copy(admin, tmp_path / "operator_answers.csv", "serving", "operator_answers")
    assert recommendations == answers > 0
    known = admin.execute(
        "SELECT count(*) FROM raw.cmms_work_orders WHERE available_at > '2026-01-31' OR completed_at > available_at"
    ).fetchone()
    assert known == (0,)
