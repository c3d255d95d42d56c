"""maps/*.yml: the shipped ones are sound, a bad one is answered in one line."""

from pathlib import Path

import pytest

from ingest.errors import MapFileError
from ingest.files.mapping import load_mapping

MAPS = Path(__file__).resolve().parents[3] / "maps"
GOOD = """
layout: wide
timestamp: {column: t, format: "%Y-%m-%d %H:%M:%S", timezone: UTC}
belongs_to: {plant_id: RIG, name: A rig}
equipment: {template: "RIG-{stem}"}
columns:
  a: {measurement: temperature, unit: °C}
  b: {measurement: vibration, position: "1", unit: g}
ignored: [label]
"""


def test_the_shipped_maps_are_these() -> None:
    assert {path.stem for path in MAPS.glob("*.yml")} == {"demo_history", "skab", "nab_machine_temperature"}


def test_a_replay_of_two_files_is_two_machines() -> None:
    plant = load_mapping(MAPS / "skab.yml").plant("opc.tcp://127.0.0.1:4841", ["0", "1"])
    assert list(plant.equipment) == ["SKAB-0", "SKAB-1"]
    assert len(plant.equipment["SKAB-0"].tags) == 8
    assert plant.equipment["SKAB-1"].tags[0].node == "nsu=urn:millwright:replay;s=SKAB-1.vibration.1"


def test_a_column_may_name_the_machines_of_a_wide_file() -> None:
    mapping = load_mapping(MAPS / "azure_pdm" / "telemetry.yml")
    plant = mapping.plant("opc.tcp://127.0.0.1:4841", ["1", "80"])
    assert {name: machine.name for name, machine in plant.equipment.items()} == {
        "PDM-1": "Machine 1",
        "PDM-80": "Machine 80",
    }
    with pytest.raises(MapFileError, match="read from the column 'machineID'"):
        mapping.equipment_id("telemetry_3h")


def test_a_long_map_describes_no_plant() -> None:
    with pytest.raises(MapFileError, match="belongs_to"):
        load_mapping(MAPS / "demo_history.yml").plant("opc.tcp://127.0.0.1:4841")


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("layout: wide", "layout: tall", "layout"),
        ("ignored:", "ignore:", "unknown key; allowed here: layout"),
        ("column: t,", "column: t, zone: x,", "timestamp.zone: unknown key; allowed here: column, format, timezone"),
        ("timezone: UTC", "timezone: Mars", "time-zone database"),
        ("name: A rig}", "name: A rig, timezone: Mars}", "belongs_to.timezone: must be a name"),
        ('"%Y-%m-%d %H:%M:%S"', "european", "must be iso, unix_s, unix_ms or a strptime format"),
        ("measurement: vibration", "measurement: smell", "must be one of temperature"),
        ('measurement: vibration, position: "1"', "measurement: temperature", "given twice"),
        ('template: "RIG-{stem}"', "template: RIG", "must hold {stem}"),
        ('template: "RIG-{stem}"', 'column: c, template: "RIG-{stem}"', "{value} is the only placeholder"),
        ('template: "RIG-{stem}"', "column: c, template: RIG", "must hold {value}"),
        ('template: "RIG-{stem}"', "id: A, column: c", "exactly one of id, column, template"),
        ('template: "RIG-{stem}"}', "column: label}", "is mapped as well"),
        ("ignored: [label]", "ignored: [a]", "is mapped as well"),
        ("belongs_to: {plant_id: RIG, name: A rig}", "", "names the plant"),
    ],
)
def test_a_bad_map_is_answered_in_one_line(tmp_path: Path, old: str, new: str, wanted: str) -> None:
    path = tmp_path / "map.yml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(MapFileError) as caught:
        load_mapping(path)
    assert str(caught.value).startswith(str(path))
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)
