"""Recorded files served over OPC UA with their values and their spacing, several machines at once."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.files.mapping import Mapping
from ingest.files.tables import TableFile
from ingest.plant import Plant
from simulator.endpoint import Endpoint, endpoint
from simulator.errors import SimulatorError

_TICK_S = 0.05
_PUBLISHING_MS = 500


@dataclass(frozen=True)
class Recording:
    """Samples of all files in order of time: `offsets` (n,) µs since the first of its file, `nodes` and `values`."""

    offsets: npt.NDArray[np.int64]
    nodes: list[str]
    values: list[Any]

    @property
    def duration(self) -> timedelta:
        return timedelta(microseconds=int(self.offsets[-1]))


def read_recording(files: Sequence[Path], mapping: Mapping) -> Recording:
    """Read and check recorded files; every file starts at its own first row.

    Raises FileError or SimulatorError: the file, the place, what is wrong, what is allowed.
    """
    if moments := [name for name, column in mapping.columns.items() if column.data_type == "datetime"]:
        raise SimulatorError(
            f"column {moments[0]!r}: a replay serves numbers, booleans and text, not data_type datetime"
        )
    if mapping.layout != "wide":
        raise SimulatorError("a replay needs a map of the wide layout; a long file is landed by `ingest backfill`")
    machines = [mapping.equipment_id(path.stem) for path in files]
    if len(set(machines)) < len(machines):
        twice = next(machine for machine in machines if machines.count(machine) > 1)
        raise SimulatorError(
            f"two files are both {twice}; give files different names, or the map an equipment.template"
        )
    offsets: list[npt.NDArray[np.int64]] = []
    nodes: list[str] = []
    values: list[Any] = []
    for path in files:
        for node, times, column in _columns(path, mapping):
            offsets.append(times)
            nodes += [node] * len(times)
            values += column
    joined = np.concatenate(offsets) if offsets else np.empty(0, np.int64)
    if not len(joined):
        raise SimulatorError(f"{', '.join(map(str, files))}: no readings; a file needs a row with a value")
    order = np.argsort(joined, kind="stable")
    return Recording(joined[order], [nodes[i] for i in order], [values[i] for i in order])


def _columns(path: Path, mapping: Mapping) -> list[tuple[str, npt.NDArray[np.int64], list[Any]]]:
    """(node, µs since the file's first row, values) of each mapped column; an empty field is no reading."""
    stamp = mapping.timestamp
    table = TableFile(path, [stamp.column, *mapping.columns], [], mapping.ignored, mapping.separator)
    found = []
    batches = [
        (table.timestamps(columns[stamp.column], line, stamp.column, stamp.format, stamp.timezone), line, columns)
        for line, columns in table.batches()
    ]
    first = min((int(times.min()) for times, _, _ in batches if len(times)), default=0)
    equipment_id = mapping.equipment_id(path.stem)
    for times, line, columns in batches:
        for name, column in mapping.columns.items():
            node = mapping.node(equipment_id, column)
            if column.data_type == "string":
                texts = [None if text is None else str(text) for text in columns[name].to_pylist()]
                given = np.array([text is not None for text in texts], dtype=bool)
                kept: list[Any] = [text for text in texts if text is not None]
            else:
                numbers, given = table.numbers(columns[name], line, name)
                kind = {"integer": int, "boolean": bool}.get(column.data_type, float)
                kept = [kind(number) for number in numbers[given]]
            found.append((node, times[given] - first, kept))
    return found


def replay_plant(mapping: Mapping, files: Sequence[Path], url: str, speed: float) -> Plant:
    """The plant file that ingests the replay: sampled and queued fast enough for its speed."""
    plant = mapping.plant(url, [path.stem for path in files])
    interval = max(1, math.floor(mapping.sampling_interval_ms / speed))
    # Values come bunched when either side was held up, so a queue takes several publishing intervals.
    queue = max(20, math.ceil(10 * _PUBLISHING_MS / interval))
    equipment = {
        equipment_id: machine.model_copy(
            update={
                "tags": [
                    tag.model_copy(update={"sampling_interval_ms": interval, "queue_size": queue})
                    for tag in machine.tags
                ]
            }
        )
        for equipment_id, machine in plant.equipment.items()
    }
    return plant.model_copy(update={"equipment": equipment})


def write_plant(plant: Plant, path: Path) -> None:
    """Write `plant` as a plant file (JSON, which is YAML)."""
    document = plant.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


async def replay(
    recording: Recording,
    plant: Plant,
    bind: str,
    port: int,
    speed: float,
    stop: asyncio.Event,
    *,
    wait: bool = True,
    linger_s: float = 5.0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> int:
    """Serve a recording from its first to its last sample, `speed` times as fast as it was recorded.

    Source times keep the recorded spacing and end at about now. With `wait` it begins once a client has subscribed to
    every tag, or to any for two seconds. Returns how many samples were served.
    """
    nodes: dict[str, Any] = {}

    async def build(made: Endpoint) -> None:
        nodes.update(await made.add_plant(plant))

    async with endpoint(bind, port, "Millwright replay", build) as made:
        if wait:
            await _subscribed(made, list(nodes.values()), stop)
        served = await _play(made, recording, nodes, speed, stop, progress)
        try:
            # The last values are published a moment later.
            await asyncio.wait_for(stop.wait(), linger_s)
        except TimeoutError:
            return served
    return served


async def _subscribed(made: Endpoint, nodes: Sequence[Any], stop: asyncio.Event) -> None:
    since: float | None = None
    while not stop.is_set():
        watched = sum(made.watched(node) for node in nodes)
        if watched == len(nodes):
            return
        since = None if watched == 0 else since or time.monotonic()
        if since is not None and time.monotonic() - since > 2.0:
            return
        await asyncio.sleep(_TICK_S)


async def _play(
    made: Endpoint,
    recording: Recording,
    nodes: dict[str, Any],
    speed: float,
    stop: asyncio.Event,
    progress: Callable[[int, int], None],
) -> int:
    began, clock, served = datetime.now(UTC), time.monotonic(), 0
    # Slower than recorded it would have to begin in the future to end now, so it begins now and falls behind.
    source = began - recording.duration * max(0.0, 1 - 1 / speed)
    total = len(recording.nodes)
    while served < total and not stop.is_set():
        elapsed_us = (time.monotonic() - clock) * speed * 1e6
        due = int(np.searchsorted(recording.offsets, elapsed_us, side="right"))
        now = datetime.now(UTC)
        for i in range(served, due):
            moment = source + timedelta(microseconds=int(recording.offsets[i]))
            await made.put(nodes[recording.nodes[i]], recording.values[i], moment, now)
        served = due
        progress(served, total)
        await asyncio.sleep(_TICK_S)
    return served
