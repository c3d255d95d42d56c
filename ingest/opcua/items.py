"""The monitored items of one server: what is asked for, what is missing, and what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from asyncua import Client, ua

from ingest.opcua.nodes import NamespaceMissingError, resolve
from ingest.opcua.notifications import HEARTBEAT
from ingest.opcua.pulse import Pulse
from ingest.opcua.server_limits import ServerLimits, apart, batched
from ingest.opcua.subscribed import Item, Subscribed, items_of, monitored
from ingest.opcua.variants import SEPARATOR, aware, convert
from ingest.readings import NODE_GONE, REJECTED, Readings, node_gone, to_us

_TICK_S: Final = 0.5
# A node that has just gone may be back at once; one that has been away for long is asked for ever more rarely.
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 15.0
_RESTING_S: Final = 600.0
_PATIENCE_S: Final = 2.0
_NO_FILTER: Final = (
    ua.StatusCodes.BadMonitoredItemFilterInvalid,
    ua.StatusCodes.BadMonitoredItemFilterUnsupported,
    ua.StatusCodes.BadFilterNotAllowed,
    ua.StatusCodes.BadDeadbandFilterInvalid,
)
_UNSUPPORTED: Final = "unsupported type"
_DEAF: Final = "the item tells nothing of changes"
_SOME: Final = 5
_MOST_PROBED: Final = 1000
_CLOCK: Final = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)

Lost = Callable[[str, str, datetime, Sequence[int]], None]


@dataclass
class _Missing:
    """Why an item isn't monitored, and when it is tried again (monotonic seconds)."""

    reason: str
    due: float
    pause: float


@dataclass(frozen=True)
class _Suspect:
    """An item that ought to have told a value: noticed when (monotonic seconds), by when (µs of the server's clock)."""

    since: float
    by_us: int


class Items:
    """Keeps a server's tags monitored over all of its connections; `monitor` or `adopt` begins each of them anew.

    `lost` is told cause, detail, the moment until which all was well, and tag ids, where single tags have lost values.
    """

    def __init__(self, server: str, tags: Sequence[Subscribed], lost: Lost | None = None) -> None:
        self.limits = ServerLimits()
        """of the server that is connected"""
        self.monitored: dict[int, int] = {}
        """client handle → id of the monitored item on the server"""
        self.queues: dict[int, int] = {}
        """client handle → values that the item's queue on the server holds"""
        self.beating = False
        """whether the server's own clock is monitored"""
        self._items = items_of(tags)
        self.elements: Mapping[int, Sequence[tuple[int, int]]] = {
            handle: item.elements for handle, item in self._items.items() if item.elements
        }
        """client handle → (index, tag id) of the elements of an array"""
        self._handles = {tag_id: item.handle for item in self._items.values() for tag_id in item.tag_ids}
        self._lost = lost
        self._log = structlog.get_logger("ingest").bind(server=server)
        self._pulse = Pulse(self._handles)
        self._missing: dict[int, _Missing] = {}
        self._dying: dict[int, str] = {}
        self._suspects: dict[int, _Suspect] = {}
        self._sampling_ms: dict[int, float] = {}
        self._published_us: int | None = None
        self._false_alarms: dict[int, int] = {}
        self._told_missing: set[int] = set()
        self._untold: dict[str, dict[str, str]] = {}
        self._told: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        """How many tags are monitored."""
        return sum(len(self._items[handle].tags) for handle in self.monitored)

    @property
    def missing(self) -> dict[int, str]:
        """Tag id → why it isn't monitored."""
        return {
            tag_id: missing.reason
            for handle, missing in self._missing.items()
            for tag_id in self._items[handle].tag_ids
        }

    async def monitor(self, client: Client, subscription: int, publishing_ms: float) -> None:
        """Monitor the server's clock and every tag that can be resolved, in a new subscription of `client`."""
        await self._begin(client, subscription, publishing_ms)
        await self._beat()
        await self._add(self._items.values())

    def state(self) -> dict[str, Any]:
        """What `adopt` needs to take the items over in a later connection, as JSON can keep it."""
        items = {
            str(handle): [number, self.queues[handle], self._sampling_ms[handle], *self._items[handle].signature()]
            for handle, number in self.monitored.items()
        }
        return {"namespaces": self._namespaces, "beating": self.beating, "items": items}

    async def adopt(self, client: Client, subscription: int, publishing_ms: float, state: Mapping[str, Any]) -> None:
        """Take over a transferred subscription with the items that `state` was noted of.

        What is wanted still and the same is kept, what isn't is deleted, what is new is added.
        """
        await self._begin(client, subscription, publishing_ms)
        strangers = []
        for text, (number, queue, sampling_ms, *signature) in state["items"].items():
            item = self._items.get(int(text))
            if item is not None and signature == item.signature() and state["namespaces"] == self._namespaces:
                self._listen(item, number, queue, sampling_ms)
            else:
                strangers.append(number)
        await self._delete(strangers)
        self.beating = state["beating"]
        if not self.beating:
            await self._beat()
        await self._add([item for handle, item in self._items.items() if handle not in self.monitored])

    async def keep(self) -> None:
        """Bring back what is missing and find what has died in silence, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await self._probe(time.monotonic())
                await self._bury(time.monotonic())
                await self._retry(time.monotonic())
            except TimeoutError:
                continue  # the watch over values judges a server that doesn't answer

    def note(self, readings: Readings) -> None:
        """Take in what has come, before it is stored: who lives, and who has died or is of no use."""
        rows = readings.rows
        gone = node_gone(rows)
        # node-opcua goes on sampling a node that was deleted: that it is gone is no value, and ends no gap.
        self._pulse.note(readings.part(~gone) if gone.any() else readings, time.monotonic())
        for tag_id in rows["tag_id"][gone].tolist():
            self._die(tag_id, "BadNodeIdUnknown")
        for row in rows[rows["kind"] == REJECTED]:
            reason = (readings.text(row) or "").partition(SEPARATOR)[0]
            if reason.startswith(_UNSUPPORTED):
                self._die(int(row["tag_id"]), reason)

    def published(self, sent_us: int | None) -> None:
        """All that the server has sent until then (its clock, µs since 2000) has come; None where it doesn't say."""
        self._published_us = sent_us

    def _die(self, tag_id: int, reason: str) -> None:
        handle = self._handles.get(tag_id)
        if handle in self.monitored:
            self._dying.setdefault(handle, reason)

    async def _begin(self, client: Client, subscription: int, publishing_ms: float) -> None:
        self.monitored, self.queues, self.beating = {}, {}, False
        self._missing, self._dying, self._suspects = {}, {}, {}
        self._published_us = None
        self._client, self._subscription, self._publishing_ms = client, subscription, publishing_ms
        self._pulse.end(list(self._handles))
        # Indices are a server's own business and change with its restarts; only URIs last.
        self._namespaces = list(await client.get_namespace_array())
        self.limits = await ServerLimits.read(client)

    async def _beat(self) -> None:
        by_time = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        for wanted in (by_time, None):
            (result,) = await self._create([monitored(_CLOCK, HEARTBEAT, 1000.0, 2, wanted)])
            self.beating = result.StatusCode.is_good()
            if self.beating:
                return

    async def _add(self, items: Iterable[Item]) -> None:
        """Monitor what can be resolved now; one bad node stops no other."""
        wanted: list[tuple[Item, ua.NodeId, int]] = []
        for item in items:
            try:
                wanted.append((item, resolve(item.node, self._namespaces), 0))
            except (NamespaceMissingError, ValueError) as error:
                self._miss(item, str(error))
        while wanted:
            requests = [
                item.request(node_id, self._publishing_ms, item.filters()[choice]) for item, node_id, choice in wanted
            ]
            create = apart(self._create, lambda status: ua.MonitoredItemCreateResult(StatusCode=status))
            results = await batched(create, requests, self.limits.monitored_items_a_call)
            again: list[tuple[Item, ua.NodeId, int]] = []
            for (item, node_id, choice), request, result in zip(wanted, requests, results, strict=True):
                if result.StatusCode.is_good():
                    self._listen(item, result.MonitoredItemId, result.RevisedQueueSize, result.RevisedSamplingInterval)
                    self._compare(item, choice, request, result)
                elif result.StatusCode.value in _NO_FILTER and choice + 1 < len(item.filters()):
                    again.append((item, node_id, choice + 1))
                else:
                    self._miss(item, result.StatusCode.name)
            wanted = again
        self._tell()

    async def _create(self, requests: Sequence[ua.MonitoredItemCreateRequest]) -> list[Any]:
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = self._subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        parameters.ItemsToCreate = list(requests)
        return list(await self._client.uaclient.session.create_monitored_items(parameters))

    async def _delete(self, numbers: Sequence[int]) -> None:
        """Delete items of the server's; what it doesn't know any more goes with the subscription."""

        async def delete(part: Sequence[int]) -> list[ua.StatusCode]:
            parameters = ua.DeleteMonitoredItemsParameters()
            parameters.SubscriptionId = self._subscription
            parameters.MonitoredItemIds = list(part)
            return list(await self._client.uaclient.session.delete_monitored_items(parameters))

        # asyncua's own server stumbles over the item of a node that is gone.
        await batched(apart(delete, lambda status: status), numbers, self.limits.monitored_items_a_call)

    def _listen(self, item: Item, number: int, queue: int, sampling_ms: float) -> None:
        self.monitored[item.handle], self.queues[item.handle] = number, queue
        self._sampling_ms[item.handle] = sampling_ms
        self._missing.pop(item.handle, None)
        # A server may sample more slowly than it was asked to, and says so.
        slowest = max(3 * item.tags[0].sampling_interval_ms, 3 * sampling_ms, 2 * self._publishing_ms) / 1000
        patience = max(_PATIENCE_S, slowest) * 2 ** self._false_alarms.get(item.handle, 0)
        self._pulse.begin(item.tag_ids, patience, time.monotonic())

    def _miss(self, item: Item, reason: str) -> None:
        before = self._missing.get(item.handle)
        pause = min(_LONGEST_RETRY_S, 1.5 * before.pause) if before else _FIRST_RETRY_S
        self._missing[item.handle] = _Missing(reason, time.monotonic() + pause, pause)

    async def _probe(self, now: float) -> None:
        """Ask for the values of tags that have been silent: quiet ones are as they were, dead and deaf ones aren't."""
        handles = {self._handles[tag_id] for tag_id in self._pulse.silent(now)}
        heard_us = self._published_us
        handles |= {h for h, suspect in self._suspects.items() if heard_us is not None and heard_us >= suspect.by_us}
        asked = sorted(handles & self.monitored.keys())[:_MOST_PROBED]
        if not asked:
            return
        nodes = [resolve(self._items[handle].node, self._namespaces) for handle in asked]
        read = apart(self._values, lambda status: ua.DataValue(StatusCode=status))
        *values, clock = await batched(read, [*nodes, _CLOCK], self.limits.nodes_a_read)
        for handle, value in zip(asked, values, strict=True):
            item = self._items[handle]
            suspect = self._suspects.pop(handle, None)
            if suspect is not None and self._pulse.heard(handle) > suspect.since:
                suspect = None
            if value.StatusCode is not None and value.StatusCode.value in NODE_GONE:
                self._dying.setdefault(handle, value.StatusCode.name)
            elif not self._changed(item, value):
                self._pulse.confirm(item.tag_ids, now)
            elif suspect is None:
                if (by_us := self._settled_us(clock)) is not None:
                    self._suspects[handle] = _Suspect(now, by_us)
            elif heard_us is not None and heard_us >= suspect.by_us:
                self._dying.setdefault(handle, _DEAF)
            else:
                self._suspects[handle] = suspect
            self._pulse.asked(item.tag_ids, now)

    def _settled_us(self, clock: Any) -> int | None:
        """By when, on the server's clock, a change must have been sent; what is sent may still wait for our disk."""
        if clock.Value is None or not isinstance(clock.Value.Value, datetime):
            return None
        return to_us(aware(clock.Value.Value)) + int(2000 * self._publishing_ms)

    def node_of(self, tag_id: int) -> tuple[int, ua.NodeId | None]:
        """The client handle of a tag and its node on the server that is connected; None where it isn't monitored."""
        handle = self._handles[tag_id]
        return handle, resolve(self._items[handle].node, self._namespaces) if handle in self.monitored else None

    async def values(self) -> list[tuple[int, Any]]:
        """(client handle, DataValue) of every item that is monitored, as the server has them now."""
        handles = sorted(self.monitored)
        nodes = [resolve(self._items[handle].node, self._namespaces) for handle in handles]
        return list(zip(handles, await batched(self._values, nodes, self.limits.nodes_a_read), strict=True))

    async def _values(self, nodes: Sequence[ua.NodeId]) -> list[Any]:
        return list(await self._client.uaclient.session.read_attributes(list(nodes), ua.AttributeIds.Value))

    def _changed(self, item: Item, value: Any) -> bool:
        """Whether a value that was read is one that the item should have told."""
        deadband = item.tags[0].deadband
        if (value.StatusCode is not None and not value.StatusCode.is_good()) or value.Value is None:
            return False
        if deadband is not None and deadband.absolute is None:
            return False  # percent of a range that only the server knows
        whole = value.Value.Value
        for tag in item.tags:
            if tag.element is not None and not (isinstance(whole, list) and tag.element < len(whole)):
                continue
            kind, number, text = convert(whole if tag.element is None else whole[tag.element])
            if self._pulse.differs(tag.tag_id, kind, number, text, deadband.absolute if deadband else None):
                return True
        return False

    async def _bury(self, now: float) -> None:
        """Take the items of what has died off the server, and say of which tags values are missing since when."""
        dying, self._dying = {h: reason for h, reason in self._dying.items() if h in self.monitored}, {}
        if not dying:
            return
        numbers = [self.monitored.pop(handle) for handle in dying]
        losses: dict[tuple[str, int], list[int]] = {}
        # What came last was in the source before that: while it waited to be sampled and published.
        underway_s = 2 * self._publishing_ms / 1000
        for handle, reason in dying.items():
            item = self._items[handle]
            pause = _FIRST_RETRY_S
            if reason == _DEAF:
                pause = 0.0
                self._false_alarms[handle] = self._false_alarms.get(handle, 0) + 1
            elif reason.startswith(_UNSUPPORTED):
                pause = _RESTING_S
            if not reason.startswith(_UNSUPPORTED):  # those are rejected, with the reason
                for tag_id in item.tag_ids:
                    seconds = int(now - self._pulse.known(tag_id) + underway_s) + 1
                    losses.setdefault((reason, seconds), []).append(tag_id)
            self._missing[handle] = _Missing(reason, now + pause, pause)
            self._pulse.end(item.tag_ids)
        if self._lost is not None:
            for (reason, seconds), tag_ids in losses.items():
                self._lost("outage", reason, datetime.now(UTC) - timedelta(seconds=seconds), tag_ids)
        await self._delete(numbers)
        if deaf := [self._items[handle].node for handle, reason in dying.items() if reason == _DEAF]:
            self._log.warning("items_deaf", count=len(deaf), some=deaf[:_SOME], now="monitored anew")
        self._tell()

    async def _retry(self, now: float) -> None:
        due = [self._items[handle] for handle, missing in self._missing.items() if missing.due <= now]
        if not due:
            return
        # A namespace may have been added since; a shift within a connection is not allowed to servers.
        self._namespaces = list(await self._client.get_namespace_array())
        await self._add(due)

    def _compare(self, item: Item, choice: int, request: Any, result: Any) -> None:
        """Note where the server does something else than it was asked to."""
        if item.tags[0].deadband is not None and choice > 0:
            self._untold.setdefault("deadband_refused", {})[item.node] = "every change is told"
        asked = request.RequestedParameters.QueueSize
        if 0 < result.RevisedQueueSize < asked:
            self._untold.setdefault("queue_shortened", {})[item.node] = f"{result.RevisedQueueSize} of {asked}"

    def _tell(self) -> None:
        """Say each tag that is missing once, and each that is back; what the server does otherwise, once a run."""
        for event, nodes in self._untold.items():
            if new := {node: how for node, how in nodes.items() if (event, node) not in self._told}:
                self._told |= {(event, node) for node in new}
                self._log.warning(event, count=len(new), some=dict(list(new.items())[:_SOME]))
        self._untold = {}
        missing = {tag_id: reason for tag_id, reason in self.missing.items() if reason != _DEAF}
        fresh = {tag_id: reason for tag_id, reason in missing.items() if tag_id not in self._told_missing}
        if fresh:
            nodes = {self._items[self._handles[tag_id]].node: reason for tag_id, reason in list(fresh.items())[:_SOME]}
            self._log.warning("tags_missing", count=len(fresh), some=nodes, retried_every_s=_LONGEST_RETRY_S)
        if back := self._told_missing - set(missing):
            self._log.info("tags_back", count=len(back))
        self._told_missing = set(missing)
