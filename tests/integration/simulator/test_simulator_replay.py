"""A recorded file over real OPC UA: every value, its spacing, and an end at about now."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from ingest.files.mapping import load_mapping
from ingest.plant import load_plant
from simulator.replay import read_recording, replay, replay_plant, write_plant
from warehouse.server import free_port

ROOT = Path(__file__).parents[3]
SPEED = 20.0
OFFSETS = (0, 1, 2, 2.5, 10, 11, 30)  # uneven, with a gap
HEADER = "time,value,text\n"
MAP = """
layout: wide
timestamp: {column: time, format: unix_s, timezone: UTC}
belongs_to: {plant_id: RIG, name: A rig, timezone: UTC}
equipment: {template: "RIG-{stem}"}
columns:
  value: {measurement: temperature, unit: °C}
  text: {measurement: run_state, role: state, data_type: string}
"""


class Collected:
    def __init__(self) -> None:
        self.values: dict[str, list[ua.DataValue]] = {}

    def datachange_notification(self, node: Any, _value: Any, event: Any) -> None:
        self.values.setdefault(node.nodeid.Identifier, []).append(event.monitored_item.Value)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two machines recorded in different years; the second has an empty field."""
    for stem, start in (("a", 1_500_000_000), ("b", 1_600_000_000)):
        rows = [f"{start + offset},{20 + i},{'on' if i % 2 else ''}\n" for i, offset in enumerate(OFFSETS)]
        (tmp_path / f"{stem}.csv").write_text(HEADER + "".join(rows))
    (tmp_path / "map.yml").write_text(MAP)
    return [tmp_path / "a.csv", tmp_path / "b.csv"]


async def test_values_spacing_and_end(files: list[Path], tmp_path: Path) -> None:
    mapping, port = load_mapping(tmp_path / "map.yml"), free_port()
    recording = read_recording(files, mapping)
    url = f"opc.tcp://127.0.0.1:{port}"
    plant = replay_plant(mapping, files, url, SPEED)
    write_plant(plant, tmp_path / "plant.yml")
    assert load_plant(tmp_path / "plant.yml") == plant
    stop = asyncio.Event()
    serving = asyncio.create_task(replay(recording, plant, "127.0.0.1", port, SPEED, stop, linger_s=60))
    handler = Collected()
    client = Client(url)
    while True:
        try:
            await client.connect()
            break
        except OSError:
            await asyncio.sleep(0.1)
    began = datetime.now(UTC)
    index = await client.get_namespace_index("urn:millwright:replay")
    names = ["RIG-a.temperature", "RIG-b.temperature", "RIG-a.run_state", "RIG-b.run_state"]
    subscription = await client.create_subscription(100, handler)
    # A value that repeats itself is still a sample: ask for changes of the timestamp too.
    every = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
    nodes = [client.get_node(ua.NodeId(name, index)) for name in names]
    await subscription._subscribe(nodes, ua.AttributeIds.Value, every, queuesize=100)
    while sum(map(len, handler.values.values())) < len(names) + len(recording.nodes):
        await asyncio.sleep(0.05)
        assert not serving.done(), serving.result()
    ended = datetime.now(UTC)
    stop.set()
    await client.disconnect()
    assert await serving == len(recording.nodes) == 20

    for name in names[:2]:
        first, *samples = handler.values[name]
        assert first.StatusCode.name == "BadWaitingForInitialData"  # before it began there was nothing to see
        assert [value.Value.Value for value in samples] == [20.0 + i for i in range(len(OFFSETS))]
        gaps = [b.SourceTimestamp - a.SourceTimestamp for a, b in pairwise(samples)]
        assert gaps == [timedelta(seconds=b - a) for a, b in pairwise(OFFSETS)]
        assert began + timedelta(seconds=OFFSETS[-1] / SPEED) <= samples[-1].SourceTimestamp <= ended
    assert [value.Value.Value for value in handler.values["RIG-a.run_state"][1:]] == ["on"] * 3


def test_the_skab_files_become_sixteen_machines(recorded_data: Path) -> None:
    mapping = load_mapping(ROOT / "maps" / "skab.yml")
    files = sorted((recorded_data / "skab" / "valve1").glob("*.csv"))
    recording = read_recording(files, mapping)
    assert len(set(recording.nodes)) == 16 * 8
    rows = sum(len(path.read_text().splitlines()) - 1 for path in files)
    assert len(recording.nodes) == 8 * rows
    plant = replay_plant(mapping, files, "opc.tcp://127.0.0.1:4850", 10)
    assert "SKAB-0" in plant.equipment
    assert plant.equipment["SKAB-0"].tags[0].sampling_interval_ms == 100
