"""The plant's past as files: readings day by day, and what the plant's other systems exported meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.plant import Plant, Tag
from simulator import enterprise, judgments
from simulator.errors import SimulatorError
from simulator.machines import Floats
from simulator.noise import DAY_S
from simulator.timeline import MINUTE, Stretch, Timeline, days

SCHEMA = pa.schema(
    [
        ("equipment_id", pa.dictionary(pa.int16(), pa.string())),
        ("measurement", pa.dictionary(pa.int16(), pa.string())),
        ("position", pa.dictionary(pa.int16(), pa.string())),
        ("source_ts", pa.timestamp("us", tz="UTC")),
        ("value", pa.float64()),
        ("value_text", pa.string()),
        ("status", pa.int64()),
    ]
)
# Columns of few distinct values. A dictionary of measured ones makes the file larger, and takes most of its time.
_CODED = [name for name in SCHEMA.names if name not in ("source_ts", "value")]
_HOUR = 3600.0


@dataclass(frozen=True)
class Written:
    """What a history came to."""

    readings: int
    faults: int
    recommendations: int


@dataclass(frozen=True)
class _Readings:
    """The readings of one tag on one day; a number or a text each."""

    times: Floats
    values: Floats | None = None
    texts: npt.NDArray[np.str_] | None = None


def write_history(
    plant: Plant,
    seed: int,
    day_count: int,
    until: datetime,
    out: Path,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Written:
    """Write readings, exports, past recommendations with answers and the hidden truth of the days before `until`.

    Readings are minute means, as historians keep them, and samples at each tag's own interval in the last 24 h; they
    are sorted by UTC day, tag and time. `progress` hears how many days are done. The same plant, seed and `until` give
    the same files. Raises SimulatorError where the arguments make no history.
    """
    if until.tzinfo is None:
        raise SimulatorError(f"until must carry a time zone, such as 2026-01-31T06:00:00Z. Got: {until.isoformat()}")
    if day_count < 1:
        raise SimulatorError(f"days must be at least 1. Got: {day_count}")
    last = float(until.astimezone(UTC).timestamp() // MINUTE * MINUTE)
    timeline = Timeline(plant, seed, last - day_count * DAY_S, last)
    out.mkdir(parents=True, exist_ok=True)
    minutes: list[Stretch] = []
    rows = 0
    partial = out / "readings.parquet.partial"
    parts = days(timeline.first, last)
    with pq.ParquetWriter(partial, SCHEMA, compression="zstd", compression_level=1, use_dictionary=_CODED) as writer:
        for done, (starts, ends) in enumerate(parts, start=1):
            stretches = timeline.day(starts, ends, last - DAY_S)
            minutes += [stretch.minute_means() for stretch in stretches]
            table = _table(plant, _readings(timeline, stretches, starts, ends))
            writer.write_table(table)
            rows += table.num_rows
            progress(done, len(parts))
    partial.replace(out / "readings.parquet")

    means = Stretch(
        np.concatenate([stretch.times for stretch in minutes]),
        np.concatenate([stretch.values for stretch in minutes]),
        MINUTE,
    )
    enterprise.write(timeline, means, seed, out)
    recommendations = judgments.write(timeline, means, seed, out)
    _write_truth(timeline, out)
    return Written(rows, len(timeline.past.faults), recommendations)


def _readings(timeline: Timeline, stretches: list[Stretch], starts: float, ends: float) -> list[_Readings]:
    """The day's readings of every tag, in the order of the plant file."""
    grid = np.arange(np.ceil(starts / MINUTE) * MINUTE, ends, MINUTE)
    asked, said = timeline.asked(grid), timeline.said(grid)
    found, channel = [], 0
    for machine, (equipment_id, equipment) in enumerate(timeline.plant.equipment.items()):
        for tag in equipment.tags:
            if tag.role == "measurement":
                found.append(_sampled(tag, channel, stretches))
                channel += 1
            elif tag.role == "state":
                kept = _on_change(grid, said[:, machine])
                found.append(_Readings(grid[kept], texts=said[kept, machine]))
            elif tag.role == "set_point":
                full = timeline.machines.full(tag.measurement, timeline.machines.ids.index(equipment_id))
                kept = _on_change(grid, asked[:, machine])
                found.append(_Readings(grid[kept], values=np.round(asked[kept, machine] * full, 3)))
            else:
                found.append(_Readings(grid[:0], values=grid[:0]))
    return found


def _sampled(tag: Tag, channel: int, stretches: list[Stretch]) -> _Readings:
    times, values = [], []
    for stretch in stretches:
        every = 1 if stretch.step_s == MINUTE else max(1, round(tag.sampling_interval_ms / 1000 / stretch.step_s))
        times.append(stretch.times[::every])
        values.append(stretch.values[::every, channel])
    return _Readings(np.concatenate(times), values=np.concatenate(values))


def _on_change(grid: Floats, values: np.ndarray) -> npt.NDArray[np.bool_]:
    """Where a value differs from the one before, and each full hour; the first of a day stands for itself."""
    kept: npt.NDArray[np.bool_] = grid % _HOUR == 0
    kept[0] = True
    kept[1:] |= values[1:] != values[:-1]
    return kept


def _table(plant: Plant, readings: list[_Readings]) -> pa.Table:
    tags = [(equipment_id, tag) for equipment_id, equipment in plant.equipment.items() for tag in equipment.tags]
    counts = np.array([len(reading.times) for reading in readings])
    times = np.concatenate([reading.times for reading in readings])
    numbers = np.concatenate([np.full(len(r.times), np.nan) if r.values is None else r.values for r in readings])
    is_text = np.repeat([reading.texts is not None for reading in readings], counts)
    texts = np.full(len(times), "", dtype="<U16")
    texts[is_text] = np.concatenate([np.empty(0, "<U16"), *(r.texts for r in readings if r.texts is not None)])
    return pa.Table.from_arrays(
        [
            _repeated([equipment_id for equipment_id, _ in tags], counts),
            _repeated([tag.measurement for _, tag in tags], counts),
            _repeated([tag.position for _, tag in tags], counts),
            pa.array(np.round(times * 1e6).astype("int64"), pa.timestamp("us", tz="UTC")),
            pa.array(numbers, mask=is_text),
            pa.array(texts, pa.string(), mask=~is_text),
            pa.array(np.zeros(len(times), dtype="int64")),
        ],
        schema=SCHEMA,
    )


def _repeated(words: list[str], counts: npt.NDArray[np.int64]) -> pa.DictionaryArray:
    known = sorted(set(words))
    codes = np.repeat(np.array([known.index(word) for word in words], dtype="int16"), counts)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(known, pa.string()))


def _write_truth(timeline: Timeline, out: Path) -> None:
    """What really happened; kept beside the history for judging models, and loaded nowhere."""
    machines, episodes = timeline.machines, timeline.past.episodes

    def moments(seconds: list[float]) -> pa.Array:
        return pa.array([round(second * 1e6) for second in seconds], pa.timestamp("us", tz="UTC"))

    channels = [None if e.fault.channel is None else machines.channels[e.fault.channel].tag for e in episodes]
    truth = pa.table(
        {
            "equipment_id": pa.array([machines.ids[e.fault.machine] for e in episodes], pa.string()),
            "mode": pa.array([e.fault.mode for e in episodes], pa.string()),
            "measurement": pa.array([tag and tag.measurement for tag in channels], pa.string()),
            "position": pa.array([tag and tag.position for tag in channels], pa.string()),
            "started_at": moments([e.fault.starts for e in episodes]),
            "full_at": moments([e.fault.full for e in episodes]),
            "ended_at": moments([e.fault.ends for e in episodes]),
            "repaired_at": moments([e.repaired for e in episodes]),
            "caught": pa.array([e.caught for e in episodes], pa.bool_()),
        }
    )
    pq.write_table(truth, out / "truth.parquet")
