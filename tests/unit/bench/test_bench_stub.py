"""The stub server of the benchmarks says what a client can use, and every notification is another."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from asyncua import Client, ua

from bench.stub import NAMESPACES, Replay, Stub
from ingest.opcua.decoding import decode
from ingest.readings import to_us

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HANDLES = [1, 2, 7]


def test_a_replayed_response_differs_in_number_time_and_value() -> None:
    replay = Replay(HANDLES)
    us = int(NOW.timestamp()) * 1_000_000
    for number in (1, 2):
        published = decode(replay.body(5, number, us + number, 1.5 * number), NOW, NOW)
        rows = published.readings.rows
        assert published.sequence_number == number
        assert rows["tag_id"].tolist() == HANDLES
        assert set(rows["value"].tolist()) == {1.5 * number}
        assert set(rows["source_ts"].tolist()) == set(rows["server_ts"].tolist()) == {to_us(NOW) + number}


class Handler:
    """What asyncua's subscription calls."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Any, Any]] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.seen.append((node.nodeid.Identifier, data.monitored_item.Value.SourceTimestamp, value))


async def test_an_independent_client_gets_every_value() -> None:
    loop = asyncio.get_running_loop()
    stubs: list[Stub] = []
    server = await loop.create_server(lambda: Stub(len(HANDLES), stubs.append), "127.0.0.1", 0)
    handler = Handler()
    async with server, Client(f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        assert await client.get_namespace_array() == NAMESPACES
        subscription = await client.create_subscription(100, handler)
        await subscription.subscribe_data_change([client.get_node(ua.NodeId(f"T{handle}", 2)) for handle in HANDLES])
        async with asyncio.timeout(20):
            while not stubs[0].ready:
                await asyncio.sleep(0.01)
            sent = await stubs[0].replay(4, rate=1000.0)
            while len(handler.seen) < 4 * len(HANDLES):
                await asyncio.sleep(0.01)
    assert len(set(handler.seen)) == 4 * len(HANDLES)
    assert {round(told.timestamp() * 1e6) for _, told, _ in handler.seen} >= {sent["first_us"], sent["last_us"]}
