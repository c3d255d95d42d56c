"""A connection or a worker that is gone comes back to the subscription it had, and has lost nothing by being away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService
from asyncua.server.uaprocessor import UaProcessor

from ingest.collector import Collector
from ingest.opcua import session as session_module
from ingest.opcua.session import Session
from ingest.plant import Plant
from ingest.tags import sync_plant
from tests.integration.ingest.test_ingest_collector import (
    Field,
    collecting,
    connected,
    eventually,
    field,
    here,
    landed,
    plant_of,
)
from warehouse.settings import Settings

__all__ = ["field", "here"]  # fixtures


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_LONGEST_BACKOFF_S", 0.5)
    # asyncua's server forgets a message when it says it again; by the standard, when that is acknowledged.
    republish = InternalSubscription.republish

    def again(self: InternalSubscription, number: int) -> Any:
        kept = self._not_acknowledged_results.get(number)
        message = republish(self, number)
        if kept is not None:
            self._not_acknowledged_results[number] = kept
        return message

    monkeypatch.setattr(InternalSubscription, "republish", again)


class Proxy:
    """A TCP connection's middle: `drop` resets all of them, `open` False refuses more, `stall` lets nothing through."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.open = True
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._flow = asyncio.Event()
        self._flow.set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop()

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while content := await reader.read(1 << 16):
                await self._flow.wait()
                writer.write(content)
                await writer.drain()
        writer.transport.abort()


def through(proxy: Proxy, field: Field, **options: Any) -> Plant:
    return plant_of(field, **{"url": f"opc.tcp://127.0.0.1:{proxy.port}", **options})


@asynccontextmanager
async def killed(settings: Settings, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A worker that dies when left: no session is closed, nothing is drained, the sockets just break."""
    ids = sync_plant(settings, plant, datetime.now(UTC)).tag_ids
    collector = Collector(settings, plant, "main", ids)
    with monkeypatch.context() as patch:
        running = asyncio.create_task(collector.run(asyncio.Event()))
        yield collector
        patch.setattr(session_module, "close", session_module.abandon)
        patch.setattr(Session, "_forget", lambda _: None)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def unrepaired(admin: psycopg.Connection) -> list[Any]:
    return admin.execute("SELECT cause, detail, from_ts, to_ts FROM raw.sensor_gaps WHERE NOT repaired").fetchall()


def time_of(admin: psycopg.Connection, value: float) -> datetime:
    ((source_ts,),) = admin.execute("SELECT source_ts FROM raw.sensor_events WHERE value = %s", (value,)).fetchall()
    moment: datetime = source_ts
    return moment


def subscriptions(field: Field) -> int:
    return len(field.server.iserver.subscription_service.subscriptions)


async def test_a_dropped_connection_loses_nothing(field: Field, here: Settings, admin: psycopg.Connection) -> None:
    async with Proxy(field.port) as proxy, collecting(here, through(proxy, field)) as collector:
        await connected(collector)
        await field.burst("T", 1, 100)
        for start in (101, 301, 501):
            proxy.open = False  # until both bursts are written, however soon it would be back
            proxy.drop()
            await field.burst("T", start, 100)
            await eventually(lambda: collector.session.connected_tags, 0)
            await field.burst("T", start + 100, 100)
            proxy.open = True
            await connected(collector)
        await eventually(lambda: len(landed(admin)), 700)
        assert landed(admin) == [float(n) for n in range(1, 701)]
        assert unrepaired(admin) == []
        assert subscriptions(field) == 1


async def test_an_outage_that_the_subscription_outlives_is_void(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_TOLD_AFTER_S", 0.5)
    async with Proxy(field.port) as proxy, collecting(here, through(proxy, field)) as collector:
        await connected(collector)
        await field.burst("T", 1, 10)
        await eventually(lambda: len(landed(admin)), 10)
        proxy.open = False
        proxy.drop()
        await eventually(lambda: len(unrepaired(admin)), 2)
        await field.burst("T", 11, 10)
        proxy.open = True
        await eventually(lambda: len(landed(admin)), 20)
        await eventually(lambda: unrepaired(admin), [])
    assert admin.execute("SELECT DISTINCT repair FROM raw.sensor_gaps").fetchall() == [("resumed",)]


async def test_a_killed_worker_comes_back_whole(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = plant_of(field)
    for start in (1, 201, 401):
        async with killed(here, plant, monkeypatch) as collector:
            await connected(collector)
            await field.burst("T", start, 100)
        await field.burst("T", start + 100, 100)
        assert subscriptions(field) == 1
    async with collecting(here, plant):
        await eventually(lambda: len(landed(admin)), 600)
        assert landed(admin) == [float(n) for n in range(1, 601)]
        assert unrepaired(admin) == []
        assert subscriptions(field) == 1
    await eventually(lambda: subscriptions(field), 0)


async def test_what_the_server_cannot_say_again_is_a_gap(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = plant_of(field)
    async with killed(here, plant, monkeypatch) as collector:
        await connected(collector)
        await field.burst("T", 1, 10)
        await eventually(lambda: len(landed(admin)), 10)
    (kept,) = field.server.iserver.subscription_service.subscriptions.values()
    before = kept._notification_seq
    await field.burst("T", 11, 10)
    # Published into the void, and not in part: a publishing may have come between two of them.
    await eventually(lambda: kept._notification_seq > before and not kept._triggered_datachanges, True)
    kept._not_acknowledged_results.clear()
    await asyncio.sleep(0.5)
    await field.burst("T", 21, 10)
    async with collecting(here, plant):
        await eventually(lambda: landed(admin)[-1], 30.0)
        # The other tag has said nothing since: whether it would have is asked.
        await eventually(lambda: [gap[0] for gap in unrepaired(admin)], ["sequence_gap"])
    ((_, _, start, end),) = unrepaired(admin)
    assert (start, end) == (time_of(admin, 10.0), time_of(admin, 21.0))


async def test_a_subscription_is_transferred_where_its_session_is_gone(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    _transfer_as_the_standard_says(monkeypatch)
    plant = plant_of(field)
    async with killed(here, plant, monkeypatch) as collector:
        await connected(collector)
        await field.burst("T", 1, 100)
    await field.burst("T", 101, 100)
    path = here.var / "spool" / "main" / "subscription.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "token": "i=4711"}))
    async with collecting(here, plant):
        await eventually(lambda: len(landed(admin)), 200)
        await field.burst("T", 201, 100)
        await eventually(lambda: len(landed(admin)), 300)
        assert unrepaired(admin) == []
        assert subscriptions(field) == 1


async def test_a_transfer_after_which_nothing_is_published_is_no_loss(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncua's server says Good to a transfer and goes on publishing to the connection that is gone."""
    plant = plant_of(field)
    async with killed(here, plant, monkeypatch) as collector:
        await connected(collector)
        await field.burst("T", 1, 10)
    path = here.var / "spool" / "main" / "subscription.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "token": "i=4711"}))
    async with collecting(here, plant):
        await field.burst("T", 11, 10)
        await eventually(lambda: len(landed(admin)), 20)
        assert unrepaired(admin) == []


async def test_another_run_of_the_server_is_not_mistaken_for_the_one_before(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = plant_of(field)
    async with killed(here, plant, monkeypatch) as collector:
        await connected(collector)
        await field.burst("T", 1, 10)
        await eventually(lambda: len(landed(admin)), 10)
    await field.stop()
    await field.start()
    async with collecting(here, plant) as collector:
        await connected(collector)
        await field.burst("T", 11, 10)
        await eventually(lambda: len(landed(admin)), 20)
        # The node began anew with a value of its own, so it has changed.
        await eventually(lambda: {gap[0] for gap in unrepaired(admin)}, {"outage"})


async def test_a_record_that_the_disk_has_spoilt_is_a_gap(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        await field.write("T", 1.0, datetime.now(UTC))
        await eventually(lambda: landed(admin), [1.0])
        collector._spool.append(b"")
        await field.write("T", 2.0, datetime.now(UTC))
        await eventually(lambda: landed(admin), [1.0, 2.0])
        ended = "SELECT cause, from_ts, to_ts FROM raw.sensor_gaps WHERE to_ts IS NOT NULL AND NOT repaired"
        wanted = [("undecodable", time_of(admin, 1.0), time_of(admin, 2.0))]
        await eventually(lambda: admin.execute(ended).fetchall(), wanted)


async def test_a_queue_that_was_full_is_a_gap_though_the_server_says_nothing(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"node": "nsu=urn:millwright:test;s=Q", "measurement": "pressure", "queue_size": 20}
    await field.add("Q")
    plant = plant_of(field, small)
    async with killed(here, plant, monkeypatch) as collector:
        await connected(collector)
        await field.burst("Q", 1, 10)
        await eventually(lambda: len(landed(admin, "pressure")), 10)
    (kept,) = field.server.iserver.subscription_service.subscriptions.values()
    monkeypatch.setattr(kept, "pub_request_callback", lambda _: None)  # nothing asks for values any more
    await field.burst("Q", 11, 40)
    async with collecting(here, plant):
        await eventually(lambda: landed(admin, "pressure")[-1:], [50.0])
        await eventually(lambda: [gap[0] for gap in unrepaired(admin)], ["queue_overflow"])
    assert landed(admin, "pressure") == [float(n) for n in (*range(1, 11), *range(31, 51))]
    ((_, _, start, end),) = unrepaired(admin)
    assert (start, end) == (time_of(admin, 10.0), time_of(admin, 31.0))


def _transfer_as_the_standard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = SubscriptionService.transfer_subscriptions

    async def whole(self: SubscriptionService, params: Any, session_id: Any, callback: Any) -> Any:
        results = await transfer(self, params, session_id, callback)
        for number in params.SubscriptionIds:
            kept: InternalSubscription | None = self.subscriptions.get(int(number))
            processor = callback.__self__
            if kept is not None and isinstance(processor, UaProcessor):
                kept.pub_request_callback = processor.get_publish_request
        return results

    monkeypatch.setattr(SubscriptionService, "transfer_subscriptions", whole)


def test_what_is_kept_is_private_and_whole(tmp_path: Any) -> None:
    from ingest.opcua.subscription import Keepsake, Subscription

    keepsake = Keepsake(tmp_path)
    assert keepsake.load() is None
    made = Subscription(78, 500.0, 2.0, "2026-01-01T00:00:00", "i=1001", "ff00", {"items": {}}, 41)
    keepsake.save(made)
    made.stored = 42
    keepsake.mark(made)
    assert Keepsake(tmp_path).load() == made
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    (tmp_path / "stored").write_bytes(b"\0" * 12)
    assert Keepsake(tmp_path).load() is None  # of another subscription, or torn
    keepsake.forget()
    assert list(tmp_path.iterdir()) == []
