"""plant.yml: what is wrong is said in one line with file, place and what is allowed."""

from pathlib import Path

import pytest

from ingest.errors import PlantFileError
from ingest.plant import load_plant

GOOD = """
plant_id: P1
name: Test plant
timezone: Europe/Oslo
servers:
  main: {url: "opc.tcp://127.0.0.1:4840"}
limits:
  temperature: {high: {warning: 80, critical: 85, emergency: 90}}
equipment:
  PUMP-001:
    name: Pump
    type: pump
    server: main
    tags:
      - {node: "nsu=urn:x;s=T", measurement: temperature, unit: "°C"}
      - {node: "nsu=urn:x;s=V", measurement: vibration, unit: mm/s}
"""


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plant.yml"
    path.write_text(GOOD)
    plant = load_plant(path)
    limits = plant.limits_of(plant.equipment["PUMP-001"].tags[0])
    assert limits is not None
    assert limits.high.emergency == 90.0


@pytest.mark.parametrize(
    ("old", "new", "place", "allowed"),
    [
        ("unit: mm/s", "unti: mm/s", "equipment.PUMP-001.tags[1].unti", "unknown key; allowed here: node, measurement"),
        ("    type: pump", "    type: pump\n    colour: red", "equipment.PUMP-001.colour", "allowed here: name, type"),
        ("plant_id: P1", "plant_id: P1\nowner: me", "owner", "allowed here: plant_id"),
        ("s=V", "s=T", "equipment.PUMP-001.tags[1]", "duplicate tag"),
        ("measurement: vibration", "measurement: temperature", "equipment.PUMP-001.tags[1]", "duplicate tag"),
        ("warning: 80", "warning: hot", "limits.temperature.high.warning", "must be a number. Got: 'hot'"),
        ("warning: 80", "warning: yes", "limits.temperature.high.warning", "must be a number. Got: True"),
        ("warning: 80", "warning: 95", "limits.temperature", "must rise"),
        ("Europe/Oslo", "Oslo", "timezone", "time-zone database"),
        ("server: main", "server: other", "equipment.PUMP-001.server", "must be one of main"),
        ("measurement: vibration", "measurement: smell", "equipment.PUMP-001.tags[1]", "must be one of temperature"),
        ("name: Test plant", "name: Test plant\nname: Again", "line 4", "given twice"),
        ("name: Test plant", "name: [", "line", "not YAML"),
    ],
)
def test_a_bad_file_is_answered_in_one_line(tmp_path: Path, old: str, new: str, place: str, allowed: str) -> None:
    path = tmp_path / "plant.yml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(PlantFileError) as caught:
        load_plant(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert place in message
    assert allowed in message
    assert "\n" not in message


def _with_tags(tmp_path: Path, *tags: str) -> Path:
    path = tmp_path / "plant.yml"
    head = GOOD[: GOOD.index("      - {node")]
    path.write_text(head + "".join(f"      - {{{tag}}}\n" for tag in tags))
    return path


def test_the_elements_of_an_array_are_tags_of_their_own(tmp_path: Path) -> None:
    plant = load_plant(
        _with_tags(
            tmp_path,
            'node: "nsu=urn:x;s=A", element: 0, measurement: temperature, position: inlet',
            'node: "nsu=urn:x;s=A", element: 3, measurement: temperature, position: outlet',
        )
    )
    assert [tag.address for tag in plant.equipment["PUMP-001"].tags] == ["nsu=urn:x;s=A[0]", "nsu=urn:x;s=A[3]"]


@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        ("element: 1", "element: 1", "duplicate tag: node 'nsu=urn:x;s=A[1]'"),
        ("element: 1", "unit: K", "give each tag of an array its element"),
        (
            "element: 1",
            "element: 2, sampling_interval_ms: 50",
            "sampling_interval_ms, queue_size, deadband and discard",
        ),
        ("element: 1", "element: 2, discard: newest", "must be those of equipment.PUMP-001.tags[0]"),
        ("element: 1", "element: -1", "greater than or equal to 0"),
        ("element: 1", "element: 2, discard: both", "'oldest' or 'newest'"),
        ("deadband: {}", "element: 2", "{absolute: <in the tag's unit>} or {percent: <of the node's EURange>}"),
        ("deadband: {absolute: 1, percent: 1}", "element: 2", "{absolute: <in the tag's unit>} or {percent:"),
        ("deadband: {absolute: 0}", "element: 2", "greater than 0"),
        ("deadband: {percent: 101}", "element: 2", "less than or equal to 100"),
        ("data_type: string, deadband: {percent: 1}", "element: 2", "data_type must be double or integer"),
    ],
)
def test_how_a_tag_is_monitored_is_checked(tmp_path: Path, first: str, second: str, allowed: str) -> None:
    node = 'node: "nsu=urn:x;s=A", measurement: temperature'
    with pytest.raises(PlantFileError) as caught:
        load_plant(_with_tags(tmp_path, f"{node}, position: a, {first}", f"{node}, position: b, {second}"))
    assert allowed in str(caught.value)
    assert "equipment.PUMP-001.tags" in str(caught.value)
