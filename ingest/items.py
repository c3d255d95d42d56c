"""The monitored items of one server: what is asked for, what is missing, and what comes back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from asyncua import Client, ua

from ingest.decoding import HEARTBEAT
from ingest.nodes import NamespaceMissingError, resolve
from ingest.readings import Readings

# S7-1200 and its like take 50 times as long for more, whatever limit they state.
ITEMS_A_CALL: Final = 200
_RETRY_MISSING_S: Final = 15.0
_QUEUED_S: Final = 10.0
_BAD_NODE_ID_UNKNOWN: Final = 0x8034_0000
# Monitored item filter invalid, filter unsupported, filter not allowed.
_NO_FILTER: Final = (0x8043_0000, 0x8044_0000, 0x8045_0000)


@dataclass(frozen=True)
class Subscribed:
    """A tag as a session needs it."""

    tag_id: int
    node: str
    sampling_interval_ms: int
    queue_size: int | None


def queue_size(tag: Subscribed, publishing_interval_ms: float) -> int:
    """Enough for ten seconds without a Publish, and never the 1 that loses values without an overflow bit."""
    longest = max(_QUEUED_S * 1000, 5 * publishing_interval_ms)
    return tag.queue_size or min(10_000, max(20, math.ceil(longest / max(tag.sampling_interval_ms, 10))))


async def server_limit(client: Client, node: int) -> int:
    """An operation limit of the server, at most ITEMS_A_CALL; servers that state none are asked for that many."""
    try:
        value = await client.get_node(ua.NodeId(node)).read_value()
    except ua.UaError:
        return ITEMS_A_CALL
    return min(int(value), ITEMS_A_CALL) if value else ITEMS_A_CALL


class Items:
    """Keeps a server's tags monitored over all of its connections; `monitor` begins each of them anew."""

    def __init__(self, server: str, tags: Sequence[Subscribed]) -> None:
        self.missing: dict[int, str] = {}
        """tag id → why it isn't monitored"""
        self.monitored: dict[int, int] = {}
        """tag id → id of the monitored item on the server"""
        self.beating = False
        """whether the server's own clock is monitored"""
        self._tags = {tag.tag_id: tag for tag in tags}
        self._log = structlog.get_logger("ingest").bind(server=server)
        self._told_missing: set[int] = set()

    def __len__(self) -> int:
        return len(self.monitored)

    async def monitor(self, client: Client, subscription: int, publishing_ms: float) -> None:
        """Monitor the server's clock and every tag that can be resolved, in a new subscription of `client`."""
        self.missing, self.monitored, self.beating = {}, {}, False
        self._client, self._subscription, self._publishing_ms = client, subscription, publishing_ms
        self._namespaces = list(await client.get_namespace_array())
        self._batch = await server_limit(
            client, ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
        )
        beat = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
        results = await self._create([(HEARTBEAT, beat, 1000.0, 2)])
        self.beating = results[0].StatusCode.is_good()
        await self._add(list(self._tags.values()))

    async def retry_missing(self) -> None:
        """Try what is missing again and again, until cancelled."""
        while True:
            await asyncio.sleep(_RETRY_MISSING_S)
            if not self.missing:
                continue
            gone = [self.monitored.pop(tag_id) for tag_id in list(self.missing) if tag_id in self.monitored]
            if gone:
                parameters = ua.DeleteMonitoredItemsParameters()
                parameters.SubscriptionId, parameters.MonitoredItemIds = self._subscription, gone
                await self._client.uaclient.session.delete_monitored_items(parameters)
            # A namespace may have been added since; a shift within a connection is not allowed to servers.
            self._namespaces = list(await self._client.get_namespace_array())
            await self._add([self._tags[tag_id] for tag_id in list(self.missing)])

    def note_gone(self, readings: Readings) -> None:
        """A deleted node says so once and is silent ever after."""
        gone = readings.rows["tag_id"][readings.rows["status"] & 0xFFFF_0000 == _BAD_NODE_ID_UNKNOWN]
        for tag_id in gone.tolist():
            if tag_id in self._tags:
                self.missing[tag_id] = "BadNodeIdUnknown"

    async def _add(self, tags: Sequence[Subscribed]) -> None:
        """Monitor what can be resolved now; one bad node stops no other."""
        resolved: list[tuple[Subscribed, ua.NodeId]] = []
        for tag in tags:
            try:
                resolved.append((tag, resolve(tag.node, self._namespaces)))
            except (NamespaceMissingError, ValueError) as error:
                self.missing[tag.tag_id] = str(error)
        for start in range(0, len(resolved), self._batch):
            part = resolved[start : start + self._batch]
            results = await self._create(
                [
                    (tag.tag_id, node_id, float(tag.sampling_interval_ms), queue_size(tag, self._publishing_ms))
                    for tag, node_id in part
                ],
            )
            for (tag, _), result in zip(part, results, strict=True):
                if result.StatusCode.is_good():
                    self.monitored[tag.tag_id] = result.MonitoredItemId
                    self.missing.pop(tag.tag_id, None)
                else:
                    self.missing[tag.tag_id] = result.StatusCode.name
        self._tell()

    def _tell(self) -> None:
        """Say each tag that is missing once, and each that is back."""
        fresh = {tag_id: reason for tag_id, reason in self.missing.items() if tag_id not in self._told_missing}
        if fresh:
            some = {self._tags[tag_id].node: reason for tag_id, reason in list(fresh.items())[:5]}
            self._log.warning("tags_missing", count=len(fresh), some=some, retried_every_s=_RETRY_MISSING_S)
        if back := self._told_missing - set(self.missing):
            self._log.info("tags_back", count=len(back))
        self._told_missing = set(self.missing)

    async def _create(self, items: Sequence[tuple[int, ua.NodeId, float, int]]) -> list[Any]:
        """Monitor values by their timestamp: a stuck sensor repeats itself, and only the time says that it was asked.

        A server that knows no such filter is asked again without, item by item.
        """
        session = self._client.uaclient.session
        results = list(await session.create_monitored_items(self._wanted(items, by_time=True)))
        refused = [n for n, result in enumerate(results) if result.StatusCode.value in _NO_FILTER]
        if refused:
            plain = self._wanted([items[n] for n in refused], by_time=False)
            for n, result in zip(refused, await session.create_monitored_items(plain), strict=True):
                results[n] = result
        return results

    def _wanted(
        self, items: Sequence[tuple[int, ua.NodeId, float, int]], *, by_time: bool
    ) -> ua.CreateMonitoredItemsParameters:
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = self._subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        for handle, node_id, sampling, queue in items:
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = node_id
            item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
            item.MonitoringMode = ua.MonitoringMode.Reporting
            item.RequestedParameters.ClientHandle = handle
            item.RequestedParameters.SamplingInterval = sampling
            item.RequestedParameters.QueueSize = queue
            item.RequestedParameters.DiscardOldest = True
            if by_time:
                item.RequestedParameters.Filter = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
            parameters.ItemsToCreate.append(item)
        return parameters
