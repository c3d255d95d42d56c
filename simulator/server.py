"""The demo plant over OPC UA: a sample a tag with its own source time, set points, counters, and a way to break it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import ua

from ingest.plant import Plant, Tag
from simulator.endpoint import Endpoint, endpoint
from simulator.errors import SimulatorError
from simulator.faults import Fault
from simulator.live import LivePlant, Second

logger = logging.getLogger(__name__)

DEMO = "urn:millwright:demo"
CONTROL = "urn:millwright:simulator"  # what no tag points to
COUNTERS = 4
_COUNTER_HZ = 20
_COUNTER_STEP = timedelta(milliseconds=1000 // _COUNTER_HZ)
# After a longer pause (a laptop that slept) the plant goes on from the present; what lay between was not measured.
_LONGEST_PAUSE_S = 300


class PlantServer:
    """Runs a live plant on the nodes of an endpoint."""

    def __init__(self, plant: Plant, seed: int, truth: Path) -> None:
        self._plant = plant
        self._seed = seed
        self._truth = truth
        self._served = 0
        self._live = LivePlant(plant, seed, float(int(time.time())))
        self._nodes: dict[str, ua.NodeId] = {}
        self._counters: list[ua.NodeId] = []
        self._set_points: dict[ua.NodeId, tuple[int, float]] = {}
        self._last_said: dict[ua.NodeId, Any] = {}
        self._endpoint: Endpoint | None = None

    async def run(self, bind: str, port: int, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set. Raises SimulatorError where the port is taken."""
        async with endpoint(bind, port, "Millwright demo plant", self._build, self._written) as made:
            self._endpoint = made
            self._record("started", seed=self._seed)
            ready()
            tasks = [asyncio.create_task(self._run_plant(made)), asyncio.create_task(self._run_counters(made))]
            waiting = asyncio.create_task(stop.wait())
            try:
                done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (*tasks, waiting):
                    task.cancel()
                await asyncio.gather(*tasks, waiting, return_exceptions=True)
            for task in done - {waiting}:
                task.result()  # neither ends but by an error, which must not pass unseen

    async def _build(self, made: Endpoint) -> None:
        await made.server.register_namespace(DEMO)
        self._nodes = await made.add_plant(self._plant)
        for machine, equipment in enumerate(self._plant.equipment.values()):
            for tag in equipment.tags:
                if tag.role == "set_point":
                    full = self._live.machines.full(tag.measurement, machine)
                    self._set_points[self._nodes[tag.node]] = machine, full
                    made.writable.highest[self._nodes[tag.node]] = 1.1 * full
        await self._add_counters(made)
        await self._add_control(made)
        # No client may find a variable without a value.
        await self._put_due(made, time.time())

    async def _add_counters(self, made: Endpoint) -> None:
        for number in range(1, COUNTERS + 1):
            text = f"nsu={DEMO};s=Counter.{number}"
            if text in self._nodes:  # a plant file that lists them has its own
                self._counters.append(self._nodes[text])
                continue
            node_id = await made.node_id(text)
            tag = Tag(
                node=text, measurement=f"counter_{number}", role="counter", data_type="integer",
                sampling_interval_ms=50, queue_size=None, limits=None,
            )  # fmt: skip
            await made.add_variable(made.server.nodes.objects, node_id, tag)
            self._counters.append(node_id)

    async def _add_control(self, made: Endpoint) -> None:
        index = await made.server.register_namespace(CONTROL)
        control = await made.server.nodes.objects.add_object(
            ua.NodeId("Simulator", index), ua.QualifiedName("Simulator", index)
        )
        text, number, flag = ua.VariantType.String, ua.VariantType.Double, ua.VariantType.Boolean
        await control.add_method(
            ua.NodeId("Simulator.Inject", index),
            ua.QualifiedName("Inject", index),
            self._inject,
            [text, text, number],
            [flag, text],
        )
        await control.add_method(
            ua.NodeId("Simulator.Repair", index), ua.QualifiedName("Repair", index), self._repair, [text], [flag, text]
        )

    async def _inject(self, _parent: ua.NodeId, *arguments: ua.Variant) -> list[ua.Variant]:
        equipment_id, mode, minutes = (argument.Value for argument in arguments)
        try:
            fault = self._live.inject(equipment_id, mode, minutes)
        except SimulatorError as error:
            return _answer(False, str(error))
        self._record("injected", **self._described(fault))
        return _answer(True, f"{mode} of {equipment_id} grows to its full in {minutes:g} minutes")

    async def _repair(self, _parent: ua.NodeId, *arguments: ua.Variant) -> list[ua.Variant]:
        (equipment_id,) = (argument.Value for argument in arguments)
        try:
            ended = self._live.repair(equipment_id)
        except SimulatorError as error:
            return _answer(False, str(error))
        for fault in ended:
            self._record("repaired", **self._described(fault))
        return _answer(True, f"{len(ended)} faults of {equipment_id} ended")

    def _described(self, fault: Fault) -> dict[str, Any]:
        tag = None if fault.channel is None else self._live.machines.channels[fault.channel].tag
        return {
            "equipment_id": self._live.machines.ids[fault.machine],
            "mode": fault.mode,
            "measurement": tag and tag.measurement,
            "position": tag and tag.position,
            "started_at": datetime.fromtimestamp(fault.starts, UTC).isoformat(),
            "full_at": datetime.fromtimestamp(fault.full, UTC).isoformat(),
        }

    def _record(self, event: str, **what: Any) -> None:
        """The hidden truth: one JSON object a line, for judging models; nothing loads it."""
        self._truth.parent.mkdir(parents=True, exist_ok=True)
        with self._truth.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "at": datetime.now(UTC).isoformat(), **what}) + "\n")

    def _written(self, node_id: ua.NodeId, value: float) -> None:
        machine, full = self._set_points[node_id]
        self._live.write_set_point(machine, value / full)
        self._last_said[node_id] = value  # the client has put it there itself

    async def _run_plant(self, made: Endpoint) -> None:
        """A second's samples are served when their second has come; the clock's later steps don't touch the grid."""
        epoch = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, self._live.now - (epoch + time.monotonic())))
            present = epoch + time.monotonic()
            if present - self._live.now > _LONGEST_PAUSE_S:
                logger.warning("paused for %d s; going on from the present", present - self._live.now)
                self._live = LivePlant(self._plant, self._seed, float(int(time.time())))
                epoch = time.time() - time.monotonic()
            await self._put_due(made, epoch + time.monotonic())

    async def _put_due(self, made: Endpoint, present: float) -> None:
        now = datetime.now(UTC)
        for second in self._live.seconds(max(0, int(present - self._live.now) + 1)):
            await self._put_second(made, second, self._served, now)
            self._served += 1

    async def _put_second(self, made: Endpoint, second: Second, number: int, now: datetime) -> None:
        """Put the samples that are due in this second; a tag's place in the plant decides when its turn is."""
        moment = datetime.fromtimestamp(second.moment, UTC)
        channel = 0
        for machine, equipment in enumerate(self._plant.equipment.values()):
            for tag in equipment.tags:
                node_id = self._nodes[tag.node]
                if tag.role == "measurement":
                    every = max(1, round(tag.sampling_interval_ms / 1000))
                    if number == 0 or (number + channel) % every == 0:
                        await made.put(node_id, float(second.values[channel]), moment, now)
                    channel += 1
                elif tag.role != "counter":
                    await self._put_if_new(made, node_id, tag, machine, second, moment, now)

    async def _put_if_new(
        self,
        made: Endpoint,
        node_id: ua.NodeId,
        tag: Tag,
        machine: int,
        second: Second,
        moment: datetime,
        now: datetime,
    ) -> None:
        if tag.role == "state":
            said: Any = second.states[machine]
        else:
            said = round(float(second.asked[machine]) * self._set_points[node_id][1], 3)
        known = self._last_said.get(node_id)
        same = abs(said - known) < 1e-3 if isinstance(known, float) else said == known
        # Each full hour they are said again, as in history: who came late or lost some still knows.
        if same and second.moment % 3600:
            return
        self._last_said[node_id] = said
        await made.put(node_id, said, moment, now)

    async def _run_counters(self, made: Endpoint) -> None:
        """Every value from 0 on, 20 a second; late ones follow with the source time that was theirs."""
        began, clock, count = datetime.now(UTC), time.monotonic(), 0
        while True:
            due = int((time.monotonic() - clock) * _COUNTER_HZ) + 1
            now = datetime.now(UTC)
            for number in range(count, due):
                for node_id in self._counters:
                    await made.put(node_id, number, began + number * _COUNTER_STEP, now)
            count = due
            await asyncio.sleep(max(0.0, clock + count / _COUNTER_HZ - time.monotonic()))


def _answer(done: bool, message: str) -> list[ua.Variant]:
    return [ua.Variant(done, ua.VariantType.Boolean), ua.Variant(message, ua.VariantType.String)]
