"""A server that forgets nodes when it is told to, and a subscription to it that keeps what it hears."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from asyncua import Client, ua

from ingest.opcua.decoding import HEARTBEAT, rows_of
from ingest.opcua.items import Items
from ingest.opcua.subscribed import Subscribed
from ingest.opcua.variants import aware
from ingest.readings import to_us

URI = "urn:millwright:items"
PUBLISHING_MS = 50.0


class Field:
    """A server, and a subscription of one client to it whose notifications are noted and kept."""

    def __init__(self, server: Any, index: int, url: str) -> None:
        self.server, self.index, self.url = server, index, url
        self.values: list[tuple[int, Any]] = []
        self.beats = 0
        self.names: set[str] = set()
        self.held: list[Any] | None = None
        """what comes while it isn't taken in"""
        self.lost: list[tuple[str, datetime, Sequence[int]]] = []

    async def add(self, name: str, value: Any = 0.0, kind: ua.VariantType = ua.VariantType.Double) -> None:
        await self.server.nodes.objects.add_variable(ua.NodeId(name, self.index), name, value, kind)
        self.names.add(name)

    def forget(self, name: str) -> None:
        """Delete a node without telling anybody, as this server does."""
        del self.server.iserver.aspace[ua.NodeId(name, self.index)]
        self.names.remove(name)

    async def write(self, name: str, value: Any) -> None:
        data = ua.DataValue(ua.Variant(value), ua.StatusCode(), datetime.now(UTC), datetime.now(UTC))
        await self.server.write_attribute_value(ua.NodeId(name, self.index), data)

    def of(self, tag_id: int) -> list[Any]:
        return [value for tag, value in self.values if tag == tag_id]

    @asynccontextmanager
    async def monitoring(self, items: Items, *, begin: bool = True) -> AsyncIterator[tuple[Client, int]]:
        async with Client(self.url) as client:
            parameters = ua.CreateSubscriptionParameters()
            parameters.RequestedPublishingInterval = PUBLISHING_MS
            parameters.RequestedMaxKeepAliveCount, parameters.RequestedLifetimeCount = 10, 100

            def take(result: Any) -> None:
                if self.held is not None:
                    self.held.append(result)
                    return
                items.published(to_us(aware(result.NotificationMessage.PublishTime)))
                for notification in result.NotificationMessage.NotificationData or []:
                    told = [i for i in notification.MonitoredItems if i.ClientHandle != HEARTBEAT]
                    self.beats += len(notification.MonitoredItems) - len(told)
                    self.values.extend((i.ClientHandle, i.Value.Value.Value if i.Value.Value else None) for i in told)
                    items.note(rows_of(told, datetime.now(UTC), datetime.now(UTC)))

            result = await client.uaclient.session.create_subscription(parameters, take)
            if begin:
                await items.monitor(client, result.SubscriptionId, PUBLISHING_MS)
            keeping = asyncio.create_task(items.keep())
            try:
                yield client, result.SubscriptionId
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

    def note_lost(self, _cause: str, detail: str, heard: datetime, tag_ids: Sequence[int]) -> None:
        self.lost.append((detail, heard, tag_ids))


def tag(tag_id: int, name: str, **options: Any) -> Subscribed:
    return Subscribed(tag_id, f"nsu={URI};s={name}", 50, None, **options)
