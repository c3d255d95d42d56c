"""MES, SAP and CMMS exports: typed, brought up to date, whole or not at all."""

from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest

from ingest.errors import IngestError
from ingest.files.load import load
from warehouse.settings import Settings

HEAD = "inspection_id,equipment_id,inspected_at,sample_size,defects,defect_type,passed,available_at\n"
GOOD = "Q1,PUMP,2026-01-01T00:00:00Z,10,1,crack,true,2026-01-01 01:00:00\n"


def test_an_export_is_loaded_and_brought_up_to_date(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "mes_quality_inspections.csv"
    path.write_text(HEAD + GOOD + GOOD.replace("Q1", "Q2").replace("crack", ""))
    (first,) = load(warehouse, "mes", [path])
    assert (first.table, first.rows, first.inserted, first.updated) == ("mes_quality_inspections", 2, 2, 0)
    path.write_text(HEAD + GOOD + GOOD.replace("Q1", "Q2").replace("crack", "dent") + GOOD.replace("Q1", "Q3"))
    (second,) = load(warehouse, "mes", [path])
    assert (second.inserted, second.updated) == (1, 1)
    rows = admin.execute(
        "SELECT inspection_id, defect_type, passed FROM raw.mes_quality_inspections ORDER BY 1"
    ).fetchall()
    assert rows == [("Q1", "crack", True), ("Q2", "dent", True), ("Q3", "crack", True)]


def test_parquet_keeps_its_types(warehouse: Settings, admin: psycopg.Connection, tmp_path: Path) -> None:
    path = tmp_path / "sap_spare_parts.parquet"
    row = {
        "part_id": "B1",
        "plant_id": "P1",
        "description": "Bearing",
        "component": "bearing",
        "model": "X",
        "stock": 3,
    }
    table = pa.Table.from_pylist([{**row, "unit_cost": 12.5, "available_at": "2026-01-01T00:00:00+01:00"}])
    pa.parquet.write_table(table, path)
    load(warehouse, "sap", [path])
    found = admin.execute("SELECT stock, unit_cost::float8, lead_time_days FROM raw.sap_spare_parts").fetchone()
    assert found == (3, 12.5, None)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (HEAD + GOOD + GOOD.replace("Q1", ""), "line 3, column 'inspection_id': is empty"),
        (HEAD + GOOD + GOOD, "line 3, column 'inspection_id': 'Q1' is given twice; first in 2"),
        (HEAD + GOOD.replace("10,", "ten,"), "line 2, column 'sample_size': must be a whole number. Got: 'ten'"),
        (HEAD + GOOD.replace("true", "maybe"), "line 2, column 'passed': must be true or false. Got: 'maybe'"),
        (HEAD + GOOD.replace("2026-01-01T", "01.01.T"), "line 2, column 'inspected_at': must be a timestamp"),
        (HEAD + GOOD + GOOD.replace("Q1", "Q2").replace("10,", "0,"), "line 3: new row for relation"),
        (HEAD.replace("defects,", "") + GOOD, "line 1: column 'defects' is missing"),
        (HEAD.replace("defects,", "faults,") + GOOD, "line 1: column 'defects' is missing"),
    ],
)
def test_a_bad_export_loads_nothing(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path, content: str, wrong: str
) -> None:
    good, bad = tmp_path / "mes_schedules.csv", tmp_path / "mes_quality_inspections.csv"
    good.write_text(
        "schedule_id,equipment_id,planned_state,starts_at,ends_at,available_at\n"
        "S1,PUMP,production,2026-01-01,2026-01-02,2026-01-01\n"
    )
    bad.write_text(content)
    with pytest.raises(IngestError) as caught:
        load(warehouse, "mes", [good, bad])
    assert str(caught.value).startswith(str(bad))
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)
    assert admin.execute("SELECT count(*) FROM raw.mes_schedules").fetchone() == (0,)


def test_the_constraint_says_what_is_allowed(warehouse: Settings, tmp_path: Path) -> None:
    path = tmp_path / "work_orders.csv"
    path.write_text("work_order_id,equipment_id,kind,opened_at,available_at\nW1,PUMP,nice,2026-01-01,2026-01-01\n")
    with pytest.raises(IngestError, match=r"line 2: .*preventive.*corrective.*inspection"):
        load(warehouse, "cmms", [path])


@pytest.mark.parametrize(
    ("system", "name", "wrong"), [("erp", "x", "one of mes, sap, cmms"), ("sap", "x", "sap_equipment")]
)
def test_an_unknown_system_or_table_is_answered(
    warehouse: Settings, tmp_path: Path, system: str, name: str, wrong: str
) -> None:
    with pytest.raises(IngestError, match=wrong):
        load(warehouse, system, [tmp_path / f"{name}.csv"])
