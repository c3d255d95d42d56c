"""From a server that nobody has described to a plant file that a worker can collect by."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua

from ingest.errors import IngestError
from ingest.opcua.check import check
from ingest.opcua.description import explore
from ingest.opcua.security import Pki
from ingest.plant import load_plant
from tests.conftest import free_port

MACHINES = 40


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server: Any = Server()
    await server.init()
    address = f"opc.tcp://127.0.0.1:{free_port()}"
    server.set_endpoint(address)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:plant")
    for line in range(2):
        area = await server.nodes.objects.add_folder(ua.NodeId(f"L{line}", index), f"Line {line}")
        for number in range(MACHINES // 2):
            name = f"Pump-{line}{number:02}"
            machine = await area.add_object(ua.NodeId(name, index), name)
            node = await machine.add_variable(ua.NodeId(f"{name}.T", index), "Temperature", 20.0)
            await node.add_property(index, "EngineeringUnits", ua.EUInformation(DisplayName=ua.LocalizedText("°C")))
            await machine.add_variable(ua.NodeId(f"{name}.B", index), "BearingVibration", [1.0, 2.0])
            await machine.add_reference(area, ua.ObjectIds.HasEventSource)
    for limit in ("MaxNodesPerBrowse", "MaxNodesPerRead"):
        node_id = getattr(ua.ObjectIds, f"Server_ServerCapabilities_OperationLimits_{limit}")
        await server.get_node(ua.NodeId(node_id)).write_value(ua.Variant(11, ua.VariantType.UInt32))
    async with server:
        yield address


async def test_a_browsed_server_is_a_plant_that_can_be_collected(url: str, tmp_path: Path) -> None:
    path = tmp_path / "plant.yml"
    (said,) = await explore(tmp_path / "pki", {"url": url}, "main", "i=85", path)
    assert f"{2 * MACHINES:,} variables, {3 * MACHINES:,} of them tags of {MACHINES} machines" in said
    assert str(path) in said
    plant = load_plant(path)
    assert list(plant.servers) == ["main"]
    machine = plant.equipment["Pump-103"]
    assert (machine.type, machine.area) == ("pump", "Line 1")
    assert [(t.address, t.measurement, t.position, t.unit) for t in machine.tags] == [
        ("nsu=urn:plant;s=Pump-103.T", "temperature", "", "°C"),
        ("nsu=urn:plant;s=Pump-103.B[0]", "vibration", "bearing_1", ""),
        ("nsu=urn:plant;s=Pump-103.B[1]", "vibration", "bearing_2", ""),
    ]
    report = await check(plant, Pki(tmp_path / "pki"))
    assert {finding.outcome for finding in report.findings} == {"ok"}
    assert len(report.findings) == 3 * MACHINES


async def test_without_a_file_the_nodes_are_printed(url: str, tmp_path: Path) -> None:
    lines = await explore(tmp_path / "pki", {"url": url}, None, "nsu=urn:plant;s=L1", None)
    assert lines[0].split() == ["equipment", "tag", "unit", "type", "node"]
    assert len(lines) == 2 + 3 * MACHINES // 2
    assert any("nsu=urn:plant;s=Pump-103.T" in line and "°C" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


async def test_what_can_not_be_browsed_is_one_line(url: str, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"url": "http://plc"}, "i=85", "browse: url: "),
        ({"security_policy": "Basic128"}, "i=85", "browse: security_policy: "),
        ({"security_policy": "Basic256Sha256"}, "i=85", "doesn't offer Basic256Sha256 with SignAndEncrypt"),
        ({}, "nsu=urn:nowhere;s=X", "--root: the server has no namespace 'urn:nowhere'"),
        ({}, "nsu=urn:plant;s=nothing", "--root: "),
    ]
    for options, root, said in cases:
        with pytest.raises(IngestError) as caught:
            await explore(tmp_path / "pki", {"url": url, **options}, None, root, tmp_path / "plant.yml")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "plant.yml").exists()


async def test_a_file_that_is_there_is_refused_before_the_server_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "plant.yml"
    path.write_text("mine")
    with pytest.raises(IngestError, match="exists already"):
        await explore(tmp_path / "pki", {"url": "opc.tcp://127.0.0.1:1"}, None, "i=85", path)
