"""The notifications of one connection: asked for, put in order, stored durably, and only then acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import numpy as np
import structlog
from asyncua import ua

from ingest.landing.gaps import OVERFLOW, Gap
from ingest.landing.notes import Note
from ingest.opcua import decoding
from ingest.opcua.client import describe
from ingest.opcua.decoding import Publication
from ingest.opcua.items import Items
from ingest.opcua.subscription import Keepsake, Subscription
from ingest.readings import Readings, to_datetime, to_us

_MOST_REPUBLISHED: Final = 1000
_NUMBERS: Final = 2**32
# Messages that may have been stored and not acknowledged when a connection ended.
_LATELY: Final = 10
_ENDED: Final = (
    ua.StatusCodes.BadTimeout,
    ua.StatusCodes.BadSubscriptionIdInvalid,
    ua.StatusCodes.BadNoSubscription,
    ua.StatusCodes.GoodSubscriptionTransferred,
)


class SessionLostError(Exception):
    """The connection is of no use any more; the message says why."""


class SubscriptionEndedError(SessionLostError):
    """The server has ended the subscription: there is nothing to go on with."""


class Sink(Protocol):
    """Where a session's values go."""

    async def take(self, readings: Readings) -> None:
        """Return when the readings are durable: they are acknowledged to the server right after."""

    def lost(
        self,
        cause: str,
        detail: str,
        heard: datetime | None,
        tag_ids: Sequence[int] | None = None,
        noted: datetime | None = None,
    ) -> str:
        """Values of all tags, or of these, may be missing from `heard` on (the server's clock) until the next of each.

        With `heard` None: since the last value of each of `tag_ids`, or since the newest of all. Readings received at
        `noted` (now, by default) or later end it. Returns the loss's id.
        """

    def note(self, note: Note) -> None:
        """Keep a note at its place between the values."""

    async def gaps(self, most: int) -> list[Gap]:
        """Gaps that the server's history is to be asked about now."""


@dataclass
class Hearing:
    """When the server was heard last; it outlasts the connections."""

    publishing_interval_ms: int
    value_s: float = field(default_factory=time.monotonic)
    """monotonic time of the newest value, the server's clock included"""
    sent_us: int | None = None
    """the server's time of its newest message"""
    skew_s: float | None = None
    """how far the server's clock is ahead of ours"""

    @property
    def since(self) -> datetime | None:
        """The server's time of the publishing before the newest message; None where none has come."""
        return None if self.sent_us is None else to_datetime(self.sent_us - self.publishing_interval_ms * 1000)

    def note(self, published: Publication, received: datetime, *, alive: bool) -> None:
        """Take in when a message came, and whether it says that values flow."""
        sent_us = published.sent_us
        if sent_us is not None:
            # When it was sent: the clock's own value was sampled up to a second before.
            self.skew_s = (sent_us - to_us(received)) / 1e6
        else:
            if published.server_clock is not None:
                self.skew_s = (published.server_clock - received).total_seconds()
            sent_us = to_us(received) + int((self.skew_s or 0.0) * 1e6)
        self.sent_us = sent_us
        if alive:
            self.value_s = time.monotonic()


class Pump:
    """Several `run`s at a time take the notifications of `subscription` in, one after the other, to `sink`."""

    def __init__(
        self,
        session: Any,
        subscription: Subscription,
        keepsake: Keepsake,
        items: Items,
        sink: Sink,
        hearing: Hearing,
    ) -> None:
        self.holding = 0
        """notifications that wait for the disk; meanwhile silence is not the server's"""
        self.answered = False
        """whether values, or the server's clock, have come since the connection was made"""
        self.lost = asyncio.Event()
        """set when messages are lost: of which tags they were, nobody says"""
        self._session = session
        self._subscription = subscription
        self._keepsake = keepsake
        self._items = items
        self._sink = sink
        self._hearing = hearing
        self._connected = datetime.now(UTC)
        self._turn = asyncio.Lock()
        self._expected = _next(subscription.stored)
        self._done: set[int] = set()
        # What was stored may not have been acknowledged; what was acknowledged may be again.
        lately = range(max(1, subscription.stored - _LATELY), subscription.stored + 1)
        self._acks = [self._acknowledgement(number) for number in lately]
        self._handles = {tag: handle for handle, tags in items.elements.items() for _, tag in tags}
        self._log = structlog.get_logger("ingest")

    async def run(self, *, first: bool) -> None:
        """Ask for notifications and take them in; ends by an exception, or where the server wants fewer of us."""
        while True:
            request = ua.PublishRequest()
            acks, self._acks = self._acks, []
            request.Parameters.SubscriptionAcknowledgements = acks
            try:
                body = await self._session._send_request(request, timeout=0)
            except ua.uaerrors.BadTooManyPublishRequests:
                self._acks += acks
                if first:
                    raise
                return
            except ua.uaerrors.BadTimeout:
                continue
            received = datetime.now(UTC)
            raw = bytes(body)
            try:
                published = decoding.decode(raw, received, self._connected, self._items.elements)
            except ua.UaError:
                raise
            except Exception as error:
                # Its number is missing from now on, and it is asked for again when the next one comes.
                self._log.error("notification_undecodable", error=repr(error), bytes=len(raw))
                continue
            await self._handle(published, received)

    async def _handle(self, published: Publication, received: datetime) -> None:
        change = published.status_change
        if change is not None and change.value in _ENDED:
            raise SubscriptionEndedError(f"the server ended the subscription: {change.name}")
        if change is not None and not change.is_good():
            self._log.warning("subscription_status", status=change.name)
        if published.subscription_id != self._subscription.subscription_id:
            return
        alive = published.has_data or not self._items.beating
        self.answered = self.answered or alive
        async with self._turn:
            await self._catch_up(published, received)
            self._hearing.note(published, received, alive=alive)
            self._items.published(published.sent_us)
        # From here to the disk nothing waits but the disk, so what comes behind stays behind.
        if len(published.readings):
            self._items.note(published.readings)
            if full := self._full(published.readings):
                self._sink.lost("queue_overflow", "its queue on the server was full", None, full, received)
            await self._store(published.readings)
        if published.has_data:
            self._stored(published.sequence_number)

    async def _catch_up(self, published: Publication, received: datetime) -> None:
        """Ask again for messages between the last one and this; a keep-alive names the next one to come."""
        number, expected = published.sequence_number, self._expected
        missing = (number - expected) % _NUMBERS
        if missing >= _NUMBERS // 2:
            return  # one that was here already
        self._expected = _next(number) if published.has_data else number
        lost: int | None = None
        for step in range(missing):
            sequence = (expected + step) % _NUMBERS
            if step >= _MOST_REPUBLISHED or not await self._republish(sequence):
                if lost is None:
                    self._log.warning("sequence_gap", sequence=sequence, missing=missing)
                    self._sink.lost("sequence_gap", f"message {sequence}", self._hearing.since, None, received)
                    self.lost.set()
                lost = sequence
                self._done.add(sequence)  # that much is in the ledger, before what comes next
                if step >= _MOST_REPUBLISHED:
                    self._done.update((expected + rest) % _NUMBERS for rest in range(step, missing))
                    return
            else:
                lost = None

    async def _republish(self, sequence: int) -> bool:
        """Take a message in that is missing; False where the server doesn't have it any more, or not readably."""
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId = self._subscription.subscription_id
        request.Parameters.RetransmitSequenceNumber = sequence
        received = datetime.now(UTC)
        try:
            body = await self._session._send_request(request)
            again = decoding.republished(
                bytes(body), self._subscription.subscription_id, received, self._connected, self._items.elements
            )
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            self._log.debug("not_republished", sequence=sequence, reason=describe(error))
            return False
        if again.sequence_number != sequence or not again.has_data:
            return False  # asyncua's server answers with an empty message where it has none
        self._hearing.note(again, received, alive=True)
        if len(again.readings):
            await self._store(again.readings)
        self._stored(sequence)
        return True

    async def _store(self, readings: Readings) -> None:
        self.holding += 1
        try:
            await self._sink.take(readings)
        finally:
            self.holding -= 1
            self._hearing.value_s = time.monotonic()

    def _stored(self, sequence: int) -> None:
        """The message is on disk: acknowledge it with the next request, and remember how far all of them are."""
        self._acks.append(self._acknowledgement(sequence))
        self._done.add(sequence)
        while (following := _next(self._subscription.stored)) in self._done:
            self._done.remove(following)
            self._subscription.stored = following
        self._keepsake.mark(self._subscription)

    def _full(self, readings: Readings) -> list[int]:
        """Tags that filled their queue on the server, which doesn't say by the overflow bit whether that was all."""
        queues = self._items.queues
        if len(readings) < min(queues.values(), default=len(readings) + 1):
            return []
        tags, counts = np.unique(readings.rows["tag_id"], return_counts=True)
        rows = readings.rows
        told = set(rows["tag_id"][rows["status"] & OVERFLOW == OVERFLOW].tolist())
        return [
            tag
            for tag, count in zip(tags.tolist(), counts.tolist(), strict=True)
            if 1 < queues.get(self._handles.get(tag, tag), 0) <= count and tag not in told
        ]

    def _acknowledgement(self, sequence: int) -> ua.SubscriptionAcknowledgement:
        return ua.SubscriptionAcknowledgement(
            SubscriptionId=self._subscription.subscription_id, SequenceNumber=sequence
        )


def _next(sequence: int) -> int:
    """The number after `sequence`; after 2**32 - 1 comes 1."""
    return sequence + 1 if sequence + 1 < _NUMBERS else 1
