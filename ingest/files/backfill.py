"""A historian's export through the one door: checked whole, then landed in short transactions, safe to repeat."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.errors import FileError
from ingest.files.mapping import LongColumns, Mapping
from ingest.files.tables import TableFile
from ingest.landing import events
from ingest.landing.events import Prepared
from ingest.landing.gaps import cover
from ingest.readings import NUMBER, TEXT, Readings, concatenate, empty_rows
from ingest.tags import sync_plant
from warehouse.roles import Role, connect
from warehouse.settings import Settings

ROWS_A_TRANSACTION: Final = 250_000
CONNECTIONS: Final = 2
_DAY_US: Final = 86_400_000_000
# Postgres' own range starts at 4713 BC, but a day partition before 1900 or after 2200 is a misread column.
_FIRST_US, _LAST_US = -3_155_673_600_000_000, 6_311_433_600_000_000

Progress = Callable[[str, int, int | None], None]
Meaning = tuple[str, str, str]


@dataclass(frozen=True)
class BackfillResult:
    """Rows with a value in the file, rows that were not there yet, and how long checking and landing took."""

    rows: int
    landed: int
    checked_s: float
    landed_s: float

    @property
    def rows_per_s(self) -> float:
        """Rows a second over the whole, checking included."""
        return self.rows / max(self.checked_s + self.landed_s, 1e-9)


def backfill(
    settings: Settings,
    path: Path,
    mapping: Mapping,
    moment: datetime,
    progress: Progress = lambda stage, done, total: None,
) -> BackfillResult:
    """Land `path` with origin 'backfill'. A wide map's machines are added as a plant of their own at `moment`.

    The whole file is checked before the first row lands. `available_at` is the source time plus the map's delay.
    Raises FileError (file, line and column, what is wrong, what is allowed).
    """
    began = time.perf_counter()
    with connect(settings, Role.INGEST) as connection:
        known = _current_tags(connection)
    file = _open(path, mapping)
    wide = mapping.layout == "wide"
    machines = {} if mapping.equipment.column else {path.stem: 0}
    parts: list[Readings] = []
    for line, columns in file.batches():
        parts.append(
            _wide(file, line, columns, mapping, machines) if wide else _long(file, line, columns, mapping, known)
        )
        progress("checking", sum(map(len, parts)), None if wide else file.rows)
    readings = concatenate(parts) if parts else Readings(empty_rows(0))
    checked = time.perf_counter()
    if wide:
        sync_plant(settings, mapping.plant("opc.tcp://127.0.0.1:4840", list(machines)), moment, retire=False)
        with connect(settings, Role.INGEST) as connection:
            known = _current_tags(connection)
        tag_ids = [
            known[mapping.equipment.equipment_id(value), column.measurement, column.position]
            for value in machines
            for column in mapping.columns.values()
        ]
        readings.rows["tag_id"] = np.array(tag_ids, np.int32)[readings.rows["tag_id"]]
    landed = _land(settings, readings, round(mapping.delay_s * 1e6), progress)
    return BackfillResult(len(readings), landed, checked - began, time.perf_counter() - checked)


def _current_tags(connection: psycopg.Connection) -> dict[Meaning, int]:
    rows = connection.execute(
        "SELECT equipment_id, measurement, position, tag_id FROM raw.tags WHERE valid_to IS NULL"
    ).fetchall()
    return {(row[0], row[1], row[2]): row[3] for row in rows}


def _open(path: Path, mapping: Mapping) -> TableFile:
    needed, optional = [mapping.timestamp.column], []
    if mapping.layout == "wide":
        needed += [*([mapping.equipment.column] if mapping.equipment.column else []), *mapping.columns]
    else:
        assert mapping.long is not None
        assert mapping.equipment.column is not None or mapping.equipment.id or mapping.equipment.template
        needed += [mapping.equipment.column] if mapping.equipment.column else []
        needed += [mapping.long.measurement, mapping.long.value]
        optional += [c for c in (mapping.long.position, mapping.long.value_text, mapping.long.status) if c is not None]
    return TableFile(path, needed, optional, mapping.ignored, mapping.separator)


def _times(file: TableFile, line: int, columns: dict[str, Any], mapping: Mapping) -> NDArray[np.int64]:
    stamp = mapping.timestamp
    times = file.timestamps(columns[stamp.column], line, stamp.column, stamp.format, stamp.timezone)
    outside = np.flatnonzero((times < _FIRST_US) | (times > _LAST_US))
    if len(outside):
        got = columns[stamp.column][int(outside[0])].as_py()
        raise file.problem(line + int(outside[0]), stamp.column, f"must lie between 1900 and 2200. Got: {got}")
    return times


def _wide(file: TableFile, line: int, columns: dict[str, Any], mapping: Mapping, machines: dict[str, int]) -> Readings:
    """Readings whose `tag_id` is, until the tags exist, the place of (machine, column): a bad file leaves none behind.

    `machines` (column value or stem → its number) takes up those that this part brings.
    """
    times = _times(file, line, columns, mapping)
    name = mapping.equipment.column
    code, found = (
        _codes(file, columns[name], line, name) if name else (np.zeros(len(times), np.int32), [file.path.stem])
    )
    number = np.array([machines.setdefault(value, len(machines)) for value in found], np.int32)
    machine = number[code] if len(times) else code
    parts: list[NDArray[np.void]] = []
    texts: list[str] = []
    for place, (column_name, column) in enumerate(mapping.columns.items()):
        rows = empty_rows(len(times))
        rows["source_ts"] = times
        rows["tag_id"] = machine * len(mapping.columns) + place
        if column.data_type == "string":
            given, index, values = _texts(columns[column_name])
            rows["text"] = np.where(given, index + len(texts), -1)
            rows["kind"] = TEXT
            texts.extend(values)
        else:
            rows["value"], given = file.numbers(columns[column_name], line, column_name)
            rows["kind"] = NUMBER
        parts.append(rows[given])  # an empty field is no reading
    return Readings(np.concatenate(parts), texts)


def _texts(array: Any) -> tuple[NDArray[np.bool_], NDArray[np.int32], list[str]]:
    """Which rows have a text, the index of each into the distinct ones, and those."""
    coded = array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(pc.cast(array, pa.string()))
    index = np.asarray(pc.fill_null(coded.indices, 0), np.int32)
    return np.asarray(pc.is_valid(coded)), index, coded.dictionary.to_pylist()


def _codes(file: TableFile, array: Any, line: int, column: str) -> tuple[NDArray[np.int32], list[str]]:
    given, index, values = _texts(array)
    if not given.all():
        raise file.problem(line + int(np.flatnonzero(~given)[0]), column, "is empty")
    return index, values


def _long(file: TableFile, line: int, columns: dict[str, Any], mapping: Mapping, known: dict[Meaning, int]) -> Readings:
    layout = mapping.long
    assert layout is not None
    rows = empty_rows(len(columns[layout.value]))
    rows["source_ts"] = _times(file, line, columns, mapping)
    rows["tag_id"] = _tag_ids(file, line, columns, mapping, layout, known)
    value, has_value = file.numbers(columns[layout.value], line, layout.value)
    rows["value"] = value
    rows["kind"] = np.where(has_value, NUMBER, 0)
    texts: list[str] = []
    if layout.value_text in columns:
        given, index, texts = _texts(columns[layout.value_text])
        both = given & has_value
        if both.any():
            at = int(np.flatnonzero(both)[0])
            raise file.problem(
                line + at, str(layout.value_text), f"{layout.value} is given too; a reading has one value"
            )
        rows["text"] = np.where(given, index, -1)
        rows["kind"][given] = TEXT
    if layout.status in columns:
        name = str(layout.status)
        status, given = file.numbers(columns[name], line, name)
        wrong = np.flatnonzero((status < 0) | (status > 0xFFFFFFFF) | (status != np.floor(status)))
        if len(wrong):
            got = columns[name][int(wrong[0])].as_py()
            raise file.problem(
                line + int(wrong[0]), name, f"must be a 32-bit OPC UA status code, 0 for good. Got: {got}"
            )
        rows["status"] = status.astype(np.uint32)
    return Readings(rows, texts)


def _tag_ids(
    file: TableFile,
    line: int,
    columns: dict[str, Any],
    mapping: Mapping,
    layout: LongColumns,
    known: dict[Meaning, int],
) -> NDArray[np.int32]:
    count = len(columns[layout.value])
    name = mapping.equipment.column
    if name is not None:
        equipment, values = _codes(file, columns[name], line, name)
        machines = [mapping.equipment.equipment_id(value) for value in values]
    else:
        equipment, machines = np.zeros(count, np.int32), [mapping.equipment_id(file.path.stem)]
    measurement, measurements = _codes(file, columns[layout.measurement], line, layout.measurement)
    position, positions = np.zeros(count, np.int32), [""]
    if layout.position in columns:
        given, position, positions = _texts(columns[layout.position])
        positions = [*positions, ""]
        position = np.where(given, position, len(positions) - 1).astype(np.int32)
    code = (equipment.astype(np.int64) * len(measurements) + measurement) * len(positions) + position
    size = len(machines) * len(measurements) * len(positions)
    table = np.zeros(size, np.int32)
    for present in np.flatnonzero(np.bincount(code, minlength=size)).tolist():
        rest, at_position = divmod(present, len(positions))
        at_machine, at_measurement = divmod(rest, len(measurements))
        meaning = (machines[at_machine], measurements[at_measurement], positions[at_position])
        if meaning not in known:
            at = int(np.flatnonzero(code == present)[0])
            raise _unknown_tag(file, line + at, meaning, name or layout.measurement, layout, known)
        table[present] = known[meaning]
    return np.asarray(table[code], np.int32)


def _unknown_tag(
    file: TableFile, line: int, meaning: Meaning, column: str, layout: LongColumns, known: dict[Meaning, int]
) -> FileError:
    equipment_id, measurement, position = meaning
    machines = sorted({m[0] for m in known})
    if equipment_id not in machines:
        allowed = ", ".join(machines) or "none: run `python -m ingest sync-plant` first"
        return file.problem(line, column, f"no such equipment: {equipment_id!r}; known: {allowed}")
    tags = ", ".join(" ".join(filter(None, m[1:])) for m in sorted(known) if m[0] == equipment_id)
    asked = " ".join(filter(None, (measurement, position)))
    return file.problem(line, layout.measurement, f"{equipment_id} has no tag {asked!r}; it has: {tags}")


def _land(settings: Settings, readings: Readings, delay_us: int, progress: Progress) -> int:
    landed = done = 0
    days, rows_of_day = np.unique(readings.rows["source_ts"] // _DAY_US, return_counts=True)
    with connect(settings, Role.INGEST, autocommit=True) as connection:
        # Beforehand, for several transactions bring such a day; the others get theirs with their rows.
        events.ensure_partitions(connection, days[rows_of_day > ROWS_A_TRANSACTION].tolist())
    lane = _Lane(settings, delay_us)
    chunks = _chunks(readings)
    with ThreadPoolExecutor(CONNECTIONS, initializer=lane.open) as pool:
        try:
            # A few ahead, no more: a chunk being prepared takes memory.
            pending = deque(pool.submit(lane.land, chunk) for chunk in islice(chunks, CONNECTIONS + 1))
            while pending:
                rows, new = pending.popleft().result()
                landed += new
                done += rows
                progress("landing", done, len(readings))
                pending.extend(pool.submit(lane.land, chunk) for chunk in islice(chunks, 1))
        finally:
            pool.shutdown(cancel_futures=True)
            lane.close()
    with connect(settings, Role.INGEST, autocommit=True) as connection:
        # Who reads next plans by them, and autovacuum comes minutes later.
        events.analyze_new_days(connection, days.tolist())
    return landed


class _Lane:
    """What the landing threads share; each has a connection of its own."""

    def __init__(self, settings: Settings, delay_us: int) -> None:
        self._settings = settings
        self._delay_us = delay_us
        self._local = threading.local()
        self._connections: list[psycopg.Connection] = []
        self._direct = True

    def open(self) -> None:
        self._local.connection = connect(self._settings, Role.INGEST, autocommit=True)
        self._connections.append(self._local.connection)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def land(self, chunk: Readings) -> tuple[int, int]:
        """Land a chunk in one transaction; returns its rows and how many were new."""
        prepared = events.prepare(chunk)
        available = prepared.readings.rows["source_ts"] + self._delay_us
        new = _land_chunk(self._local.connection, prepared, available, self._direct)
        # Where a file has landed before, asking first is cheaper than being refused.
        self._direct = new > 0 or not len(prepared)
        return len(chunk), new


def _land_chunk(connection: psycopg.Connection, prepared: Prepared, available: NDArray[np.int64], direct: bool) -> int:
    if direct:
        try:
            with connection.transaction():
                new = events.insert_days(connection, prepared, "backfill", available)
                _account(connection, prepared)
                return new
        except psycopg.errors.UniqueViolation:
            direct = False
    events.ensure_partitions(connection, events.days_of(prepared.readings.rows))
    with connection.transaction():
        new = events.insert_missing(connection, prepared, "backfill", available)
        _account(connection, prepared)
    return new


def _account(connection: psycopg.Connection, prepared: Prepared) -> None:
    """Last values, and gaps of live collection that the rows fill."""
    events.upsert_latest(connection, prepared)
    cover(connection, prepared, np.unique(prepared.readings.rows["tag_id"]).tolist(), "backfill")


def _chunks(readings: Readings) -> Iterator[Readings]:
    """Whole days of about ROWS_A_TRANSACTION rows; a day that is larger is cut by tag, so that keys stay ascending."""
    rows = readings.rows
    day = (rows["source_ts"] // _DAY_US).astype(np.int32)
    if len(rows) and (np.diff(day) < 0).any():
        order = np.argsort(day, kind="stable")
        rows, day = rows[order], day[order]
    starts = np.flatnonzero(np.diff(day, prepend=day[:1] - 1)).tolist() if len(rows) else []
    edges = [*starts[1:], len(rows)]
    begin = 0
    for number, edge in enumerate(edges):
        following = edges[number + 1] if number + 1 < len(edges) else None
        if following is not None and following - begin <= ROWS_A_TRANSACTION:
            continue
        if not len(rows):
            return
        chunk = rows[begin:edge]
        if len(chunk) > ROWS_A_TRANSACTION:
            chunk = chunk[np.argsort(chunk["tag_id"], kind="stable")]
        for start in range(0, len(chunk), ROWS_A_TRANSACTION):
            yield Readings(chunk[start : start + ROWS_A_TRANSACTION], readings.texts)
        begin = edge
