"""What the smoke run observes from outside: tables, notifications, counters, memory."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import psutil
import psycopg

from stack.supervisor import memory_mb
from warehouse.roles import Role, connect
from warehouse.settings import Settings

CHANNEL = "equipment_recommendations"

COUNTED = """
SELECT count(DISTINCT e.value), count(*), min(e.value)::bigint, max(e.value)::bigint
FROM raw.sensor_events AS e
WHERE e.tag_id = (SELECT tag_id FROM raw.tags WHERE node_id = %(node)s AND valid_to IS NULL) AND e.value <= %(last)s
"""
LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(EPOCH FROM landed_at - source_ts) * 1000)
FROM raw.sensor_events WHERE origin = 'live' AND source_ts >= %(since)s
"""


@dataclass(frozen=True)
class Notification:
    """One message of the channel and when it came."""

    received: datetime
    payload: dict[str, Any]


class Listener(threading.Thread):
    """LISTENs as the operator's HMI would, from `start` to `close`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="listener", daemon=True)
        self.heard: list[Notification] = []
        self._closing = threading.Event()
        self._connection = connect(settings, Role.OPERATOR, autocommit=True)
        self._connection.execute(f"LISTEN {CHANNEL}")

    def run(self) -> None:
        while not self._closing.is_set():
            for message in self._connection.notifies(timeout=0.5):
                self.heard.append(Notification(datetime.now(UTC), json.loads(message.payload)))
                if self._closing.is_set():
                    break

    def recommendations(self) -> list[Notification]:
        """Recommendations heard so far, oldest first; alerts and escalations left out."""
        return [n for n in list(self.heard) if n.payload.get("kind") == "recommendation"]

    def close(self) -> None:
        self._closing.set()
        self.join(5)
        self._connection.close()


@dataclass
class MemoryGauge:
    """Samples the memory of this process and all below it every second; `peak_mb` is the most it saw."""

    peak_mb: float = 0.0
    _closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(10)

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._closing.wait(1.0):
            self.peak_mb = max(self.peak_mb, memory_mb([me, *me.children(recursive=True)]))


async def _read(url: str, nodes: list[str]) -> list[int]:
    from asyncua import Client

    from ingest.opcua.nodes import resolve

    async with Client(url, timeout=10) as client:
        namespaces = await client.get_namespace_array()
        values = await client.read_values([client.get_node(resolve(node, namespaces)) for node in nodes])
    return [int(value) for value in values]


def read_counters(url: str, nodes: list[str]) -> list[int]:
    """The values that the server has produced last, read from it and not from the warehouse."""
    return asyncio.run(_read(url, nodes))


@dataclass(frozen=True)
class Count:
    """Counter values of one tag from the first that landed to the last that was read from the server."""

    offered: int
    landed: int
    duplicates: int

    @property
    def lost(self) -> int:
        return self.offered - self.landed


def count(connection: psycopg.Connection, node: str, last: int, patience: float = 15.0) -> Count:
    """Count what landed of a counter up to `last`, once that has landed or `patience` seconds have passed."""
    deadline = time.monotonic() + patience
    while True:
        row = connection.execute(COUNTED, {"node": node, "last": last}).fetchone()
        assert row is not None
        distinct, rows, first, newest = row
        if newest == last or time.monotonic() > deadline:
            # Without a single row everything since 0 is missing.
            return Count(last - (first if first is not None else 0) + 1, distinct, rows - distinct)
        time.sleep(0.5)


def latency_ms(connection: psycopg.Connection, since: datetime) -> tuple[float, float]:
    """From a value's source timestamp to its row, ms, median and 99th percentile of all live values since `since`."""
    row = connection.execute(LATENCY, {"since": since}).fetchone()
    assert row is not None
    p50, p99 = row[0]
    return round(p50, 1), round(p99, 1)
