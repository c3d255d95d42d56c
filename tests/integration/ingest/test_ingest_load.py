"""MES, SAP and CMMS exports: typed, brought up to date, and what can't be used is kept with its reason."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from ingest.__main__ import app
from ingest.errors import IngestError
from ingest.files.load import Query, load
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


BAD = [
    (GOOD.replace("Q1", ""), "line 3, column 'inspection_id': is empty"),
    (GOOD.replace("10,", "9,"), "line 3, column 'inspection_id': 'Q1' is given twice; first in 2"),
    (GOOD.replace("10,", "ten,"), "line 3, column 'sample_size': must be a whole number. Got: 'ten'"),
    (GOOD.replace("10,", "0,"), "line 3, column 'sample_size': must be at least 1. Got: 0"),
    (GOOD.replace("10,", "1e10,"), "line 3, column 'sample_size': must be a whole number. Got: '1e10'"),
    (GOOD.replace("true", "maybe"), "line 3, column 'passed': must be true or false. Got: 'maybe'"),
    (GOOD.replace("2026-01-01T", "01.01.T"), "line 3, column 'inspected_at': must be a timestamp"),
    (GOOD.replace("2026-01-01T", "9999-01-01T"), "line 3, column 'inspected_at': must lie between 1900 and 2200"),
    (GOOD.replace("PUMP", "P\x00"), "line 3, column 'equipment_id': must be text in UTF-8"),
    (GOOD.replace("crack", "cr,ack"), "line 3: has too few or too many fields"),
]


@pytest.mark.parametrize(("line", "wrong"), BAD)
def test_strict_refuses_everything_for_one_bad_row(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path, line: str, wrong: str
) -> None:
    good, bad = tmp_path / "mes_schedules.csv", tmp_path / "mes_quality_inspections.csv"
    good.write_text(
        "schedule_id,equipment_id,planned_state,starts_at,ends_at,available_at\n"
        "S1,PUMP,production,2026-01-01,2026-01-02,2026-01-01\n"
    )
    bad.write_text(HEAD + GOOD + line)
    with pytest.raises(IngestError) as caught:
        load(warehouse, "mes", [good, bad], strict=True)
    assert str(caught.value).startswith(str(bad))
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)
    assert admin.execute(
        "SELECT (SELECT count(*) FROM raw.mes_schedules) + (SELECT count(*) FROM raw.rejected_rows)"
        " + (SELECT count(*) FROM raw.loads)"
    ).fetchone() == (0,)


def test_bad_rows_are_kept_once_with_their_reason_and_good_ones_load(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "mes_quality_inspections.csv"
    lines = [line for line, _ in BAD]
    path.write_text(HEAD + GOOD + "".join(lines) + GOOD + GOOD.replace("Q1", "Q2"))
    (first,) = load(warehouse, "mes", [path])
    assert (first.rows, first.inserted, first.updated, first.rejected) == (len(BAD) + 3, 2, 0, len(BAD))
    (second,) = load(warehouse, "mes", [path])
    assert (second.inserted, second.updated, second.rejected) == (0, 0, len(BAD))
    kept = admin.execute(
        "SELECT line, coalesce(column_name, ''), reason, row ->> 'inspection_id', file FROM raw.rejected_rows"
        " ORDER BY line, 1"
    ).fetchall()
    assert [row[0] for row in kept] == list(range(3, 3 + len(BAD)))
    for (_, wrong), (_, column, reason, _, file) in zip(BAD, kept, strict=True):
        assert column in wrong
        assert reason.startswith(wrong.partition(": ")[2].split(". Got")[0])
        assert file == str(path)
    assert kept[2][3] == "Q1"
    assert admin.execute("SELECT sample_size FROM raw.mes_quality_inspections ORDER BY 1").fetchall() == [(10,), (10,)]
    loads = admin.execute("SELECT table_name, row_count, inserted, rejected FROM raw.loads ORDER BY 1, 3").fetchall()
    table = "mes_quality_inspections"
    assert loads == [(table, len(BAD) + 3, 0, len(BAD)), (table, len(BAD) + 3, 2, len(BAD))]


def test_a_byte_that_is_not_utf8_spoils_its_row_alone(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "mes_quality_inspections.csv"
    path.write_bytes((HEAD + GOOD).encode() + GOOD.replace("Q1", "Q2").replace("crack", "kr\xe4ck").encode("latin-1"))
    (result,) = load(warehouse, "mes", [path])
    assert (result.inserted, result.rejected) == (1, 1)
    assert admin.execute("SELECT column_name, line FROM raw.rejected_rows").fetchone() == ("defect_type", 3)


@pytest.mark.parametrize(
    ("head", "wrong"),
    [
        (HEAD.replace("defects,", ""), "line 1: column 'defects' is missing"),
        (HEAD.replace("defects,", "faults,"), "line 1: column 'defects' is missing"),
        (HEAD.replace("defects,", "defects,faults,"), "line 1: unknown column 'faults'; allowed are: inspection_id"),
        (HEAD.replace("defects,", "defects,defects,"), "line 1: column 'defects' is given twice"),
    ],
)
def test_a_file_without_the_contracts_columns_is_refused(
    warehouse: Settings, tmp_path: Path, head: str, wrong: str
) -> None:
    path = tmp_path / "mes_quality_inspections.csv"
    path.write_text(head + GOOD)
    with pytest.raises(IngestError) as caught:
        load(warehouse, "mes", [path])
    assert wrong in str(caught.value)


def test_what_only_postgres_sees_is_refused_row_by_row(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    # A plant's own rule, which no contract knows.
    admin.execute("ALTER TABLE raw.cmms_errors ADD CONSTRAINT codes CHECK (error_code LIKE 'E%')")
    path = tmp_path / "errors.csv"
    codes = ["E1", "X2", "E3", "E4", "X5"]
    path.write_text(
        "error_id,equipment_id,error_code,occurred_at,available_at\n"
        + "".join(f"{code},PUMP,{code},2026-01-01,2026-01-01\n" for code in codes)
    )
    (result,) = load(warehouse, "cmms", [path])
    assert (result.inserted, result.rejected) == (3, 2)
    kept = admin.execute("SELECT row ->> 'error_id', line, reason FROM raw.rejected_rows ORDER BY 1").fetchall()
    assert [(row[0], row[1]) for row in kept] == [("X2", 3), ("X5", 6)]
    assert all("codes" in row[2] for row in kept)


def test_a_change_is_told_by_its_transaction_and_what_was_there_is_kept(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "mes_downtime.csv"
    head = "downtime_id,equipment_id,starts_at,ends_at,planned,reason,available_at\n"
    still = "D2,PUMP,2026-01-01T09:00Z,,no,breakdown,2026-01-01T10:00Z\n"
    path.write_text(head + "D1,PUMP,2026-01-01T08:00Z,2026-01-01T08:30Z,no,belt,2026-01-01T10:00Z\n" + still)
    load(warehouse, "mes", [path])
    before = dict(admin.execute("SELECT downtime_id, loaded_xid::text FROM raw.mes_downtime").fetchall())
    path.write_text(head + "D1,PUMP,2026-01-01T08:00Z,2026-01-01T08:45Z,no,belt,2026-01-01T11:00Z\n" + still)
    load(warehouse, "mes", [path])
    after = dict(admin.execute("SELECT downtime_id, loaded_xid::text FROM raw.mes_downtime").fetchall())
    assert int(after["D1"]) > int(before["D1"])
    assert after["D2"] == before["D2"]
    former = admin.execute("SELECT table_name, row ->> 'ends_at', changed_xid::text FROM raw.former_rows").fetchall()
    assert former == [("mes_downtime", "2026-01-01T08:30:00+00:00", after["D1"])]


def test_rows_of_another_database_are_loaded_by_a_query(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "plant.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE errors (id INTEGER, machine TEXT, code TEXT, at TEXT)")
        other.executemany(
            "INSERT INTO errors VALUES (?, ?, ?, ?)",
            [(1, "PUMP", "E1", "2026-01-01 00:00:00"), (2, "PUMP", "E2", "yesterday"), (3, None, "E3", "2026-01-02")],
        )
        other.commit()
    select = "SELECT id AS error_id, machine AS equipment_id, code AS error_code, at AS occurred_at, at AS available_at"
    query = Query(f"sqlite:///{path}", f"{select} FROM errors", "cmms_errors")
    for inserted in (1, 0):
        (result,) = load(warehouse, "cmms", [query])
        assert (result.rows, result.inserted, result.rejected) == (3, inserted, 2)
    assert admin.execute("SELECT error_id FROM raw.cmms_errors").fetchall() == [("1",)]
    kept = admin.execute("SELECT line, column_name, file FROM raw.rejected_rows ORDER BY 1").fetchall()
    assert kept == [
        (line, name, f"query on sqlite:///{path}") for line, name in ((2, "occurred_at"), (3, "equipment_id"))
    ]


@pytest.mark.parametrize(
    ("url", "text", "table", "wrong"),
    [
        ("nonsense", "SELECT 1", "cmms_errors", "--from: must be a URL such as"),
        ("postgresql+nothing://u:hush@h/d", "SELECT 1", "cmms_errors", "--from: must be a URL such as"),
        (
            "sqlite://",
            "SELECT 1 AS error_id",
            "cmms_errors",
            "column 'equipment_id' is missing; the query has: error_id",
        ),
        ("sqlite://", "SELECT 1 FROM nowhere", "cmms_errors", "no such table: nowhere"),
        ("sqlite://", "CREATE TABLE t (a)", "cmms_errors", "must be a SELECT"),
        ("sqlite://", "SELECT 1", "errors", "--table must be one of cmms_work_orders"),
        ("postgresql+psycopg://u:hush@127.0.0.1:1/d", "SELECT 1", "cmms_errors", "connection failed"),
    ],
)
def test_a_query_that_can_not_be_asked_is_answered_in_one_line(
    warehouse: Settings, url: str, text: str, table: str, wrong: str
) -> None:
    with pytest.raises(IngestError) as caught:
        load(warehouse, "cmms", [Query(url, text, table)])
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("system", "name", "wrong"), [("erp", "x", "one of mes, sap, cmms"), ("sap", "x", "sap_equipment")]
)
def test_an_unknown_system_or_table_is_answered(
    warehouse: Settings, tmp_path: Path, system: str, name: str, wrong: str
) -> None:
    with pytest.raises(IngestError, match=wrong):
        load(warehouse, system, [tmp_path / f"{name}.csv"])


def test_the_commands_load_and_show_what_was_refused(
    warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("var", "postgres_port"):
        monkeypatch.setenv(f"MILLWRIGHT_{name.upper()}", str(getattr(warehouse, name)))
    monkeypatch.setenv("PGDATABASE", warehouse.pgdatabase)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("MILLWRIGHT_LOAD_FROM", "sqlite://")
    select, runner = tmp_path / "shift.sql", CliRunner()
    select.write_text("SELECT 'S1' AS id, 'day' AS name, '2026-01-01' AS von, '2026-01-02' AS bis")
    described = tmp_path / "shifts.yml"
    described.write_text(
        "table: mes_shifts\ncolumns: {shift_id: id, shift: name, starts_at: von, ends_at: bis, available_at: von}\n"
    )
    assert runner.invoke(app, ["rejected", "rows"]).stdout == "no rejected rows\n"
    done = runner.invoke(app, ["load", "mes", "--query", f"@{select}", "--map", str(described)])
    assert done.stdout == "raw.mes_shifts: 1 rows, 1 new, 0 changed, 0 rejected\n"
    path = tmp_path / "mes_shifts.csv"
    path.write_text("shift_id,shift,starts_at,ends_at,available_at\nS2,day,2026-01-02,2026-01-01,2026-01-01\n")
    done = runner.invoke(app, ["load", "mes", str(path)])
    assert done.stdout.startswith("raw.mes_shifts: 1 rows, 0 new, 0 changed, 1 rejected; see")
    shown = runner.invoke(app, ["rejected", "rows", "--table", "mes_shifts", "--reason", "AFTER"]).stdout
    assert "must be after starts_at, 2026-01-02" in shown
    assert "shift_id=S2" in shown
    assert runner.invoke(app, ["rejected", "rows", "--table", "mes_downtime"]).stdout == "no rejected rows\n"
