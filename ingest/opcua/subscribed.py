"""What is asked of a server: a tag as a session needs it, and the one monitored item of the tags of a node."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua

from ingest.plant import Deadband, Tag

# As long as a session lives by default: a worker that comes back to its session finds all of it.
_QUEUED_S: Final = 30.0
_SHORTEST_QUEUE: Final = 20
_LONGEST_QUEUE: Final = 10_000
_FASTEST_MS: Final = 10


@dataclass(frozen=True)
class Subscribed:
    """A tag as a session needs it."""

    tag_id: int
    node: str
    sampling_interval_ms: int
    queue_size: int | None
    element: int | None = None
    deadband: Deadband | None = None
    discard_oldest: bool = True

    @classmethod
    def of(cls, tag_id: int, tag: Tag) -> Subscribed:
        return cls(
            tag_id,
            tag.node,
            tag.sampling_interval_ms,
            tag.queue_size,
            tag.element,
            tag.deadband,
            tag.discard == "oldest",
        )


def queue_size(tag: Subscribed, publishing_interval_ms: float) -> int:
    """Enough for half a minute without a Publish, and never the 1 that loses values without an overflow bit."""
    longest = max(_QUEUED_S * 1000, 5 * publishing_interval_ms)
    samples = math.ceil(longest / max(tag.sampling_interval_ms, _FASTEST_MS))
    return tag.queue_size or min(_LONGEST_QUEUE, max(_SHORTEST_QUEUE, samples))


@dataclass(frozen=True)
class Item:
    """A node that is monitored: for one tag, or for those of its elements that are tags."""

    handle: int
    """of the client: the smallest of its tag ids"""
    tags: tuple[Subscribed, ...]

    @property
    def node(self) -> str:
        return self.tags[0].node

    @property
    def tag_ids(self) -> tuple[int, ...]:
        return tuple(tag.tag_id for tag in self.tags)

    @property
    def elements(self) -> list[tuple[int, int]]:
        """(index, tag id) of each element; empty for a scalar."""
        return [(tag.element, tag.tag_id) for tag in self.tags if tag.element is not None]

    def filters(self) -> list[ua.DataChangeFilter | None]:
        """What to ask the server to tell, in the order in which it is asked for until it agrees.

        The timestamp counts as a change: a stuck sensor repeats itself, and only the time says that it was asked. With
        a deadband it can't: a server would tell every sample again.
        """
        by_time = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
        deadband = self.tags[0].deadband
        if deadband is None:
            return [by_time, None]
        moved = ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValue)
        if deadband.absolute is not None:
            moved.DeadbandType, moved.DeadbandValue = ua.DeadbandType.Absolute, deadband.absolute
        else:
            moved.DeadbandType, moved.DeadbandValue = ua.DeadbandType.Percent, deadband.percent
        return [moved, by_time, None]

    def request(
        self, node_id: ua.NodeId, publishing_ms: float, wanted: ua.DataChangeFilter | None
    ) -> ua.MonitoredItemCreateRequest:
        """The item as CreateMonitoredItems wants it."""
        first = self.tags[0]
        return monitored(
            node_id,
            self.handle,
            float(first.sampling_interval_ms),
            queue_size(first, publishing_ms),
            wanted,
            discard_oldest=first.discard_oldest,
        )

    def signature(self) -> list[Any]:
        """All that makes it another item on the server, as JSON can keep it."""
        first = self.tags[0]
        deadband = [first.deadband.absolute, first.deadband.percent] if first.deadband else None
        return [first.node, first.sampling_interval_ms, first.queue_size, deadband, first.discard_oldest]


def items_of(tags: Iterable[Subscribed]) -> dict[int, Item]:
    """The items of `tags`, one a node, by their client handle."""
    by_node: dict[str, list[Subscribed]] = {}
    for tag in sorted(tags, key=lambda tag: tag.tag_id):
        by_node.setdefault(tag.node, []).append(tag)
    return {group[0].tag_id: Item(group[0].tag_id, tuple(group)) for group in by_node.values()}


def monitored(
    node_id: ua.NodeId,
    handle: int,
    sampling_ms: float,
    queue: int,
    wanted: ua.DataChangeFilter | None = None,
    *,
    discard_oldest: bool = True,
) -> ua.MonitoredItemCreateRequest:
    """A request to report the value of a node under a client handle."""
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = node_id
    request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    request.MonitoringMode = ua.MonitoringMode.Reporting
    request.RequestedParameters.ClientHandle = handle
    request.RequestedParameters.SamplingInterval = sampling_ms
    request.RequestedParameters.QueueSize = queue
    request.RequestedParameters.DiscardOldest = discard_oldest
    if wanted is not None:
        request.RequestedParameters.Filter = wanted
    return request
