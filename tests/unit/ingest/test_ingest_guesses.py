"""What a browsed plant is guessed to be, and that what is written of it is read again."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from asyncua import ua
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import IngestError
from ingest.opcua.browse import Node, Variable
from ingest.opcua.description import plant_lines, scalar, table_lines, write
from ingest.opcua.guesses import EquipmentGuess, guess, words
from ingest.plant import Server, load_plant

SERVER = Server.model_validate({"url": "opc.tcp://plc:4840", "security_policy": "Basic256Sha256"})


def variable(path: str, **says: Any) -> Variable:
    """A variable at `path`, slashes between; a part that ends with ~ is a folder."""
    *above, name = path.split("/")
    nodes: list[Node] = []
    for part in above:
        title = part.removesuffix("~")
        is_folder = part.endswith("~")
        nodes.append(Node(ua.NodeId(title, 2), title, title, False, False, is_folder, ua.NodeId(58), tuple(nodes)))
    node = Node(ua.NodeId(path, 2), name, name, True, False, False, ua.NodeId(63), tuple(nodes))
    return Variable(node, f"nsu=urn:x;s={path}", **{"data_type": "Double", **says})


def only(path: str, **says: Any) -> tuple[EquipmentGuess, Any]:
    (equipment,) = guess([variable(path, **says)])
    return equipment, equipment.tags[0]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("MotorTemp", ["motor", "temp"]),
        ("Bearing_Temp1", ["bearing", "temp", "1"]),
        ("RPMSensor", ["rpm", "sensor"]),
        ("PT-101.PV", ["pt", "101", "pv"]),
        ("Trykk ø2", ["trykk", "ø", "2"]),
    ],
)
def test_names_are_read_as_words(name: str, wanted: list[str]) -> None:
    assert words(name) == wanted


@pytest.mark.parametrize(
    ("path", "unit", "data_type", "wanted"),
    [
        ("Pump1/Temperature", "°C", "Double", ("temperature", "", "measurement", "°C")),
        ("Pump1/PV", "mm/s", "Float", ("vibration", "pv", "measurement", "mm/s")),
        ("Pump1/MotorTemp", None, "Double", ("temperature", "motor", "measurement", "")),
        ("Pump1/Motor/Current_A", None, "Double", ("current", "motor", "measurement", "A")),
        ("Pump1/PT-101", "bar", "Double", ("pressure", "101", "measurement", "bar")),
        ("Pump1/Speed_SP", "rpm", "Double", ("speed_sp", "", "set_point", "rpm")),
        ("Pump1/Level Setpoint", "%", "Double", ("level_sp", "", "set_point", "%")),
        ("Pump1/State", None, "Int32", ("run_state", "", "state", "")),
        ("Pump1/DoorOpen", None, "Boolean", ("door_open", "", "state", "")),
        ("Pump1/PieceCount", None, "UInt32", ("piece_count", "", "counter", "")),
        ("Pump1/Level", "%", "Double", ("", "level", "measurement", "%")),
        ("Pump1/LastService", None, "DateTime", ("", "last_service", "measurement", "")),
        ("Pump1/Blob", None, "ByteString", ("", "", "measurement", "")),
    ],
)
def test_a_tag_is_guessed_from_its_unit_and_name(
    path: str, unit: str | None, data_type: str, wanted: tuple[str, ...]
) -> None:
    _, tag = only(path, unit=unit, data_type=data_type)
    assert (tag.measurement, tag.position, tag.role, tag.unit) == wanted
    assert bool(tag.doubts) == (not tag.measurement or tag.role == "state" or not (tag.unit or tag.role == "counter"))


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("Area 1~/Pump-3/Temperature", ("Pump-3", "pump", "Area 1")),
        ("Area 1~/Pump-3/Sensors~/Temperature", ("Pump-3", "pump", "Area 1")),
        ("Area 1~/Pump-3/Motor/Bearing 1/Temperature", ("Pump-3", "pump", "Area 1")),
        ("Area 1~/Motor 4/Temperature", ("Motor 4", "motor", "Area 1")),
        ("Mine~/Pump-3.Temperature", ("Pump-3", "pump", "Mine")),
        ("Mine~/Pump_3_Bearing_Temp", ("Pump_3", "pump", "Mine")),
        ("Site/Hall/Unit7/Temperature", ("Unit7", "machine", "Hall")),
        ("Temperature", ("PLANT", "machine", None)),
    ],
)
def test_a_machine_is_guessed_from_the_hierarchy(path: str, wanted: tuple[str, str, str | None]) -> None:
    equipment, tag = only(path)
    assert (equipment.equipment_id, equipment.kind, equipment.area) == wanted
    assert tag.measurement == "temperature"


def test_a_type_of_the_servers_own_tells_the_machine() -> None:
    equipment, _ = only("Hall/X1/Temperature", kinds=("HallType", "CentrifugalPumpType"))
    assert equipment.kind == "pump"


def test_machines_of_one_name_and_tags_of_one_meaning_are_told_apart() -> None:
    found = guess(
        [
            variable("A~/Pump/Temperature"),
            variable("A~/Pump/Temperature "),
            variable("B~/Pump/Temperature"),
            variable("A~/Pump/Motor/Temperature"),
        ]
    )
    assert [machine.equipment_id for machine in found] == ["Pump", "B-Pump"]
    assert [tag.position for tag in found[0].tags] == ["", "2", "motor"]


def test_an_array_is_a_tag_an_element() -> None:
    (equipment,) = guess([variable("Pump/BearingTemp", unit="°C", rank=1, length=3), variable("Pump/M", rank=2)])
    assert [(t.measurement, t.position, t.element) for t in equipment.tags] == [
        ("temperature", "bearing_1", 0),
        ("temperature", "bearing_2", 1),
        ("temperature", "bearing_3", 2),
        ("", "", None),
    ]
    assert "several dimensions" in equipment.tags[3].doubts[0]


def test_states_are_guessed_from_their_names() -> None:
    _, tag = only("Pump/Status", data_type="Int32", state_names=("Stopped", "Standby", "Running", "", "Odd"))
    assert tag.states == {"0": "stopped", "1": "idle", "2": "running"}


def test_where_name_and_unit_disagree_it_is_said() -> None:
    _, tag = only("Pump/Temperature", unit="bar")
    assert tag.measurement == "pressure"
    assert tag.doubts == ["its name says temperature, its unit pressure"]


def test_what_is_written_is_a_plant_file(tmp_path: Path) -> None:
    path = tmp_path / "plant.yml"
    found = guess(
        [
            variable("Area: 1~/Pump #3/Temperature", unit="°C"),
            variable("Area: 1~/Pump #3/Level", unit="%"),
            variable("Area: 1~/Pump #3/BearingTemp", unit="°C", rank=1, length=2),
            variable("Area: 1~/Pump #3/State", data_type="Int32", state_names=("Off", "On")),
            variable("Tank/Blob", data_type="ByteString"),
        ]
    )
    write(path, SERVER, "plc-4840", found)
    plant = load_plant(path)
    assert plant.servers == {"plc-4840": SERVER}
    machine = plant.equipment["Pump #3"]
    assert (machine.area, machine.type) == ("Area: 1", "pump")
    assert [(t.address, t.measurement, t.position, t.unit) for t in machine.tags] == [
        ("nsu=urn:x;s=Area: 1~/Pump #3/Temperature", "temperature", "", "°C"),
        ("nsu=urn:x;s=Area: 1~/Pump #3/BearingTemp[0]", "temperature", "bearing_1", "°C"),
        ("nsu=urn:x;s=Area: 1~/Pump #3/BearingTemp[1]", "temperature", "bearing_2", "°C"),
        ("nsu=urn:x;s=Area: 1~/Pump #3/State", "run_state", "", ""),
    ]
    assert machine.tags[-1].states == {"0": "stopped", "1": "running"}
    text = path.read_text(encoding="utf-8")
    assert "# nsu=urn:x;s=Area: 1~/Pump #3/Level  Level [%], Double: measurement: one of temperature" in text
    assert "# Tank: nsu=urn:x;s=Tank/Blob  Blob, ByteString: ByteString is not collected" in text


def test_a_file_that_a_person_wrote_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "plant.yml"
    path.write_text("mine")
    with pytest.raises(IngestError, match="exists already"):
        write(path, SERVER, "plc", guess([variable("Pump/Temperature")]))
    assert path.read_text() == "mine"


def test_a_server_without_a_tag_is_no_plant(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no variable was found"):
        write(tmp_path / "plant.yml", SERVER, "plc", guess([variable("Pump/Blob", data_type="Guid")]))
    assert list(tmp_path.iterdir()) == []


@given(st.text(st.characters(), min_size=1, max_size=20))
def test_any_text_is_a_scalar_on_one_line(text: str) -> None:
    line = f"key: {scalar(text)}"
    assert len(line.splitlines()) == 1
    assert yaml.safe_load(line) == {"key": text}


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
PLANTS = st.lists(
    st.builds(
        variable,
        st.lists(NAMES, min_size=1, max_size=4).map("/".join),
        data_type=st.sampled_from(["Double", "Int32", "Boolean", "String", "DateTime", "Guid", None]),
        unit=st.one_of(st.none(), NAMES, st.sampled_from(["°C", "bar", "mm/s"])),
        rank=st.sampled_from([-1, -1, 1, 2]),
        length=st.sampled_from([None, 1, 40]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda v: v.text,
)


@settings(max_examples=50)
@given(PLANTS)
def test_whatever_a_server_calls_its_nodes_the_description_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, variables: list[Variable]
) -> None:
    path = tmp_path_factory.mktemp("description") / "plant.yml"
    found = guess([variable("Pump 1/Temperature"), *variables])
    path.write_text("\n".join(plant_lines(SERVER, "plc", found)), encoding="utf-8")
    plant = load_plant(path)
    assert sum(len(machine.tags) for machine in plant.equipment.values()) == sum(len(m.known) for m in found)
    assert len(list(table_lines(found))) == 1 + sum(len(machine.tags) for machine in found)
