"""Two thousand nodes of node-opcua as a plant file, over a secured channel, and deadbands and arrays from it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from ingest.opcua.client import connection
from ingest.opcua.items import Items
from ingest.opcua.security import Pki
from ingest.opcua.subscribed import Subscribed
from ingest.plant import Deadband, Server, load_plant
from tests.e2e.peer.launch import Peer
from warehouse.settings import HOME

MACHINES = 400
SIGNALS = ("Temperature", "Vibration_mms", "Pressure_bar", "Speed_rpm", "Running")


def test_two_thousand_nodes_are_a_plant_within_seconds(tmp_path: Path) -> None:
    tags: list[dict[str, Any]] = [
        {"name": f"Pump-{number:03}.{signal}", **({"type": "Boolean", "value": True} if signal == "Running" else {})}
        for number in range(MACHINES)
        for signal in SIGNALS
    ]
    with Peer(
        tmp_path / "peer",
        policies=["None", "Basic256Sha256"],
        modes=["None", "SignAndEncrypt"],
        users={"operator": "s3cret"},
        anonymous=False,
        trust=True,
        tags=tags,
        limits={"maxNodesPerBrowse": 50, "maxNodesPerRead": 100},
    ) as peer:
        began = time.monotonic()
        done = subprocess.run(
            [
                sys.executable, "-m", "ingest", "browse", peer.url, "--plant", str(tmp_path / "plant.yml"), "--name",
                "peer", "--security-policy", "Basic256Sha256", "--username", "operator", "--password-env", "PEER_PASS",
            ],
            cwd=HOME, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "PEER_PASS": "s3cret", "MILLWRIGHT_VAR": str(tmp_path / "var")},
        )  # fmt: skip
        seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    print(f"{done.stdout.strip()} ({seconds:.1f} s with the start of Python)")
    plant = load_plant(tmp_path / "plant.yml")
    assert len(plant.equipment) == MACHINES
    assert plant.servers["peer"].security_policy == "Basic256Sha256"
    assert [(t.measurement, t.unit, t.role) for t in plant.equipment["Pump-007"].tags] == [
        ("temperature", "", "measurement"),
        ("vibration", "mm/s", "measurement"),
        ("pressure", "bar", "measurement"),
        ("speed", "rpm", "measurement"),
        ("run_state", "", "state"),
    ]


@asynccontextmanager
async def monitoring(peer: Peer, items: Items, pki: Pki) -> AsyncIterator[list[tuple[int, Any]]]:
    """What comes of `items`, as (client handle, value)."""
    from asyncua import ua

    from ingest.opcua.decoding import HEARTBEAT, rows_of
    from ingest.opcua.variants import aware
    from ingest.readings import to_us

    told: list[tuple[int, Any]] = []

    def take(result: Any) -> None:
        items.published(to_us(aware(result.NotificationMessage.PublishTime)))
        for notification in result.NotificationMessage.NotificationData or []:
            values = [i for i in notification.MonitoredItems if i.ClientHandle != HEARTBEAT]
            told.extend((i.ClientHandle, i.Value.Value.Value if i.Value.Value else None) for i in values)
            items.note(rows_of(values, datetime.now(UTC), datetime.now(UTC), items.elements))

    async with connection("peer", Server.model_validate({"url": peer.url}), pki) as client:
        parameters = ua.CreateSubscriptionParameters()
        parameters.RequestedPublishingInterval = 50.0
        parameters.RequestedMaxKeepAliveCount, parameters.RequestedLifetimeCount = 10, 100
        result = await client.uaclient.session.create_subscription(parameters, take)
        await items.monitor(client, result.SubscriptionId, 50.0)
        keeping = asyncio.create_task(items.keep())
        try:
            yield told
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def settled(told: list[tuple[int, Any]], handle: int, wanted: list[Any]) -> None:
    for _ in range(100):
        if [value for number, value in told if number == handle] == wanted:
            return
        await asyncio.sleep(0.1)
    assert [value for number, value in told if number == handle] == wanted


async def test_deadbands_arrays_and_dead_nodes_are_as_the_standard_says(tmp_path: Path) -> None:
    node = "nsu=urn:millwright:peer;s="
    items = Items(
        "peer",
        [
            Subscribed(1, f"{node}A", 0, None, deadband=Deadband(absolute=1.0)),
            Subscribed(2, f"{node}B", 0, None, deadband=Deadband(percent=10.0)),
            Subscribed(3, f"{node}C", 0, None, 0),
            Subscribed(4, f"{node}C", 0, None, 2),
            Subscribed(5, f"{node}D", 0, None),
        ],
    )
    tags = [
        {"name": "A", "value": 0.0},
        {"name": "B", "value": 0.0},
        {"name": "C", "value": [1.0, 2.0, 3.0]},
        {"name": "D", "value": 0.0},
    ]
    limits = {"maxMonitoredItemsPerCall": 2, "maxNodesPerRead": 3}
    with Peer(tmp_path / "peer", tags=tags, limits=limits) as peer, capture_logs() as logs:
        async with monitoring(peer, items, Pki(tmp_path / "pki")) as told:
            assert items.missing == {}
            await settled(told, 1, [0.0])
            for value in (0.5, 2.0, 2.5, 4.0):
                peer.do("write", tag="A", value=value)
                await asyncio.sleep(0.1)
            await settled(told, 1, [0.0, 2.0, 4.0])
            peer.do("write", tag="B", value=0.25)
            await settled(told, 2, [0.0, 0.25])
            await settled(told, 3, [[1.0, 2.0, 3.0]])
            peer.do("delete", tag="D")
            for _ in range(100):
                if 5 in items.missing:
                    break
                await asyncio.sleep(0.1)
            assert items.missing == {5: "BadNodeIdUnknown"}
            peer.do("add", tag={"name": "D", "value": 7.0})
            # The first value may be told before the answer to the call that made its item.
            for _ in range(100):
                if told[-1] == (5, 7.0) and not items.missing:
                    break
                await asyncio.sleep(0.1)
            assert told[-1] == (5, 7.0)
            assert items.missing == {}
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["deadband_refused", "tags_missing"]
