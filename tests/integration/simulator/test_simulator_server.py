"""The demo plant over real OPC UA: values, source times, set points, counters, faults, a clean stop."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, ua

from ingest.opcua.browse import browse
from ingest.opcua.guesses import guess
from ingest.plant import Plant, load_plant
from simulator.client import call
from simulator.errors import SimulatorError
from simulator.server import DEMO, PlantServer
from warehouse.server import free_port

ROOT = Path(__file__).parents[3]
in_one_loop = pytest.mark.asyncio(loop_scope="module")  # a server takes seconds to build its address space


@dataclass
class Running:
    plant: Plant
    port: int
    truth: Path
    client: Client
    index: int

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def node(self, name: str) -> Any:
        return self.client.get_node(ua.NodeId(name, self.index))


Told = dict[str, list[ua.DataValue]]


class Collected:
    def __init__(self) -> None:
        self.values: Told = defaultdict(list)

    def datachange_notification(self, node: Any, _value: Any, event: Any) -> None:
        self.values[node.nodeid.Identifier].append(event.monitored_item.Value)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    plant, port, stop, ready = load_plant(ROOT / "plant.yml"), free_port(), asyncio.Event(), asyncio.Event()
    truth = tmp_path_factory.mktemp("simulator") / "truth.jsonl"
    serving = asyncio.create_task(PlantServer(plant, 7, truth).run("127.0.0.1", port, stop, ready.set))
    await asyncio.wait({serving, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert ready.is_set(), serving.exception()
    async with Client(f"opc.tcp://127.0.0.1:{port}") as client:
        yield Running(plant, port, truth, client, await client.get_namespace_index(DEMO))
    stop.set()
    await serving


async def collect(running: Running, names: list[str], seconds: float, enough: Callable[[Told], bool]) -> Told:
    """What is told of `names` for `seconds`, and beyond that until it is enough, as on a machine that is busy."""
    handler = Collected()
    subscription = await running.client.create_subscription(200, handler)
    await subscription.subscribe_data_change([running.node(name) for name in names], queuesize=50)
    await asyncio.sleep(seconds)
    for _ in range(200):
        if enough(handler.values):
            break
        await asyncio.sleep(0.1)
    await subscription.delete()
    return handler.values


@in_one_loop
async def test_every_tag_has_a_good_fresh_value_of_its_type(running: Running) -> None:
    for equipment in running.plant.equipment.values():
        for tag in equipment.tags:
            value = await running.node(tag.node.partition(";s=")[2]).read_data_value()
            assert value.StatusCode.value == 0
            assert datetime.now(UTC) - value.SourceTimestamp < timedelta(seconds=30)
            assert isinstance(value.Value.Value, str if tag.role == "state" else float)


@in_one_loop
async def test_the_plant_can_be_described_from_its_server(running: Running) -> None:
    found = {machine.equipment_id: machine for machine in guess((await browse(running.client)).variables)}
    for equipment_id, equipment in running.plant.equipment.items():
        tags = {tag.variable.text: tag for tag in found[equipment_id].known}
        guessed = {node: (tag.measurement, tag.role, tag.unit, tag.data_type) for node, tag in tags.items()}
        assert guessed == {t.node: (t.measurement, t.role, t.unit, t.data_type) for t in equipment.tags}


@in_one_loop
async def test_samples_come_at_their_interval_and_counters_miss_nothing(running: Running) -> None:
    counters = ("Counter.1", "Counter.4")
    values = await collect(
        running,
        ["HAUL-001.Vibration", *counters],
        3.5,
        lambda told: len(told["HAUL-001.Vibration"]) > 1 and all(len(told[name]) > 50 for name in counters),
    )
    vibration = [value.SourceTimestamp for value in values["HAUL-001.Vibration"]]
    assert {b - a for a, b in pairwise(vibration)} == {timedelta(seconds=1)}
    for name in counters:
        counted = values[name]
        assert len(counted) > 50
        assert {b.Value.Value - a.Value.Value for a, b in pairwise(counted)} == {1}
        assert {b.SourceTimestamp - a.SourceTimestamp for a, b in pairwise(counted)} == {timedelta(milliseconds=50)}


@in_one_loop
async def test_a_set_point_is_written_stamped_and_range_checked(running: Running) -> None:
    set_point = running.node("CRUSH-001.Throughput_SP")
    await set_point.write_value(ua.DataValue(ua.Variant(600.0)))
    value = await set_point.read_data_value()
    assert value.Value.Value == 600.0
    assert value.SourceTimestamp is not None
    for refused in (float("nan"), -1.0, 1e6):
        with pytest.raises(ua.UaStatusCodeError, match="BadOutOfRange"):
            await set_point.write_value(ua.DataValue(ua.Variant(refused)))
    with pytest.raises(ua.UaStatusCodeError, match="BadTypeMismatch"):
        await set_point.write_value(ua.DataValue(ua.Variant("fast")))
    with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
        await running.node("CRUSH-001.Throughput").write_value(ua.DataValue(ua.Variant(1.0)))
    await set_point.write_value(ua.DataValue(ua.Variant(0.0)))
    states = await collect(
        running,
        ["CRUSH-001.State", "CRUSH-001.Throughput_SP"],
        2.5,
        lambda told: [value.Value.Value for value in told["CRUSH-001.State"]][-1:] == ["IDLE"],
    )
    assert states["CRUSH-001.State"][-1].Value.Value == "IDLE"
    assert [value.Value.Value for value in states["CRUSH-001.Throughput_SP"]] == [0.0]


@in_one_loop
async def test_a_fault_is_injected_felt_recorded_and_repaired(running: Running) -> None:
    vibration = running.node("HAUL-001.Vibration")
    before = (await vibration.read_data_value()).Value.Value
    text, number = ua.VariantType.String, ua.VariantType.Double
    said = await call(
        running.url, "Inject", ua.Variant("HAUL-001", text), ua.Variant("bearing_wear", text), ua.Variant(0.02, number)
    )
    assert said == "bearing_wear of HAUL-001 grows to its full in 0.02 minutes"
    for _ in range(100):
        if (felt := (await vibration.read_data_value()).Value.Value) > before + 0.8:
            break
        await asyncio.sleep(0.2)
    assert felt > before + 0.8
    with pytest.raises(SimulatorError, match="mode of HAUL-001 must be one of"):
        await call(running.url, "Inject", ua.Variant("HAUL-001"), ua.Variant("belt_slip"), ua.Variant(1.0, number))
    await call(running.url, "Repair", ua.Variant("HAUL-001"))
    events = [json.loads(line) for line in running.truth.read_text().splitlines()]
    assert [event["event"] for event in events] == ["started", "injected", "repaired"]
    assert (events[1]["equipment_id"], events[1]["mode"]) == ("HAUL-001", "bearing_wear")
    # The truth is in no variable of the server.
    names = [tag.node for equipment in running.plant.equipment.values() for tag in equipment.tags]
    assert not any("Simulator" in name for name in names)


@in_one_loop
async def test_a_taken_port_is_named(running: Running, tmp_path: Path) -> None:
    second = PlantServer(running.plant, 7, tmp_path / "other.jsonl")
    with pytest.raises(SimulatorError, match=f"port {running.port} of 127.0.0.1 .* --port or MILLWRIGHT_OPCUA_PORT"):
        await second.run("127.0.0.1", running.port, asyncio.Event())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    arguments = [sys.executable, "-m", "simulator", "serve", "--port", str(free_port())]
    environment = {**os.environ, "MILLWRIGHT_VAR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert "Copper mine" in server.stdout.readline()
        server.send_signal(number)
        _, errors = server.communicate(timeout=30)
    assert server.returncode == 0
    assert errors == ""
