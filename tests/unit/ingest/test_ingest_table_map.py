"""Maps of enterprise exports: the shipped ones are sound, values come out as the map says, a bad map is answered."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import MapFileError
from ingest.files.table_map import Shaper, TableMap, load_table_map
from ingest.files.values import RowError

MAPS = Path(__file__).resolve().parents[3] / "maps"
GOOD = """
table: cmms_errors
timezone: Europe/Oslo
columns:
  error_id: {template: "{machine}/{at}"}
  equipment_id: machine
  error_code: {column: code, values: {"1": E1}}
  occurred_at: {column: at, format: "%d.%m.%Y %H:%M"}
  available_at: {column: at, format: "%d.%m.%Y %H:%M", delay_s: 3600}
ignored: [who]
"""
ROW = {"machine": "PUMP", "at": "01.07.2026 12:00", "code": "1"}


def mapping(text: str, tmp_path: Path) -> TableMap:
    path = tmp_path / "map.yml"
    path.write_text(text)
    return load_table_map(path)


def test_the_shipped_maps_of_tables_are_these() -> None:
    found = {
        path.stem: load_table_map(path).table for path in (MAPS / "azure_pdm").glob("*.yml") if path.stem != "telemetry"
    }
    assert found == {
        "plant": "sap_plants",
        "machines": "sap_equipment",
        "errors": "cmms_errors",
        "failures": "cmms_failures",
        "maint": "cmms_maintenance",
    }


def test_values_come_out_as_the_map_says(tmp_path: Path) -> None:
    noon = datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert Shaper(mapping(GOOD, tmp_path), tmp_path).shape(ROW) == {
        "error_id": "PUMP/01.07.2026 12:00",
        "equipment_id": "PUMP",
        "error_code": "E1",
        "occurred_at": noon,
        "available_at": noon + timedelta(hours=1),
    }


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"machine": None}, "is empty"),
        ({"code": "2"}, "must be one of 1. Got: '2'"),
        ({"at": "2026-07-01"}, "must be a timestamp (%d.%m.%Y %H:%M). Got: '2026-07-01'"),
    ],
)
def test_a_row_that_the_map_can_not_read_is_named(tmp_path: Path, change: dict[str, Any], wrong: str) -> None:
    with pytest.raises(RowError) as caught:
        Shaper(mapping(GOOD, tmp_path), tmp_path).shape(ROW | change)
    assert caught.value.reason == wrong
    assert caught.value.column in change


def test_an_age_becomes_a_date(tmp_path: Path) -> None:
    text = (MAPS / "azure_pdm" / "machines.yml").read_text().replace("2015-01-01", "2016-02-29")
    shaper = Shaper(mapping(text, tmp_path), tmp_path)
    found = [shaper.shape({"machineID": "1", "model": "m", "age": age})["commissioned_on"] for age in ("4", "1", "0.5")]
    assert found == [date(2012, 2, 29), date(2015, 2, 28), date(2015, 8, 30)]


def test_a_row_is_matched_with_another_file(tmp_path: Path) -> None:
    (tmp_path / "failures.csv").write_text("datetime,machineID,failure\n2015-01-01 06:00:00,1,comp1\n")
    shaper = Shaper(load_table_map(MAPS / "azure_pdm" / "maint.yml"), tmp_path)
    row = {"datetime": "2015-01-01 06:00:00", "machineID": "1"}
    assert [shaper.shape(row | {"comp": comp})["kind"] for comp in ("comp1", "comp2")] == ["corrective", "proactive"]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("table: cmms_errors", "table: errors", "table must be one of mes_production_orders"),
        ("ignored:", "ignore:", "unknown key; allowed here: table"),
        ("  equipment_id: machine\n", "", "columns: 'equipment_id' is missing; cmms_errors needs it"),
        ("equipment_id: machine", "machine: machine", "columns: cmms_errors has no 'machine'; it has: error_id"),
        ("equipment_id: machine", "equipment_id: {}", "give exactly one of column, template, value, match"),
        ("equipment_id: machine", "equipment_id: {value: A, delay_s: 1}", "delay_s and years_before go with column"),
        ("ignored: [who]", "ignored: [at]", "ignored: column 'at' is mapped as well"),
        ("Europe/Oslo", "Mars", "time-zone database"),
    ],
)
def test_a_bad_map_is_answered_in_one_line(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    assert old in GOOD
    with pytest.raises(MapFileError) as caught:
        mapping(GOOD.replace(old, new), tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "map.yml"))
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
