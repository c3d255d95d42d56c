"""One server: a session that subscribes, hands over what comes, and is built anew whenever values stay away."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from ingest import decoding
from ingest.client import connection, describe
from ingest.decoding import Publication
from ingest.items import Items
from ingest.plant import Server
from ingest.readings import Readings
from ingest.security import Pki
from ingest.subscribed import Subscribed

_PUBLISHES_IN_FLIGHT: Final = 3
_LONGEST_BACKOFF_S: Final = 30.0
_MOST_REPUBLISHED: Final = 1000


class SessionLostError(Exception):
    """The connection is of no use any more; the message says why."""


class Sink(Protocol):
    """Where a session's values go."""

    async def take(self, readings: Readings) -> None:
        """Return when the readings are durable: they are acknowledged to the server right after."""

    def lost(self, cause: str, detail: str, heard: datetime | None, tag_ids: Sequence[int] | None = None) -> str:
        """Values of all tags, or of these, may be missing from `heard` on (the server's clock) until the next of each.

        With `heard` None: since the last value of each of `tag_ids`, or since the newest of all. Returns the loss's id.
        """


class Session:
    """Keeps one server subscribed until `stop` is set."""

    def __init__(self, name: str, server: Server, tags: Sequence[Subscribed], sink: Sink, pki: Pki) -> None:
        self.name = name
        self.connected_tags = 0
        self.reconnects = 0
        self.clock_skew_s: float | None = None
        self.reason: str | None = None
        """why there is no connection, in a line; that of the last one while there is"""
        self._server = server
        self._items = Items(name, tags)
        self._sink = sink
        self._pki = pki
        self._log = structlog.get_logger("ingest").bind(server=name)
        self._acks: list[ua.SubscriptionAcknowledgement] = []
        self._sequence: int | None = None
        self._subscription = 0
        self._connected = datetime.now(UTC)
        self._heard = time.monotonic()
        self._heard_at: datetime | None = None
        self._holding = 0

    @property
    def missing(self) -> int:
        """How many tags the server doesn't have."""
        return len(self._items.missing)

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, collect, and begin again after whatever happens; returns when stopped."""
        failures = 0
        self._sink.lost("outage", "the worker was not running", None)
        while not stop.is_set():
            started = time.monotonic()
            collecting = asyncio.create_task(self._collect())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({collecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not collecting.done():
                collecting.cancel()
            self.reason = reason = await _outcome(collecting)
            was_connected, self.connected_tags = self.connected_tags > 0, 0
            if stop.is_set():
                break
            if was_connected:
                self.reconnects += 1
                self._log.warning("connection_lost", reason=reason)
                self._lose("outage", reason)
            failures = 0 if time.monotonic() - started > 2 * _LONGEST_BACKOFF_S else failures + 1
            pause = min(_LONGEST_BACKOFF_S, 0.5 * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)
            if not was_connected and failures & (failures - 1) == 0:  # 1st, 2nd, 4th, 8th …: no flood
                self._log.warning("connect_failed", url=self._server.url, reason=reason, attempts=failures)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def _collect(self) -> None:
        """One connection from beginning to end; always ends by an exception or by being cancelled."""
        async with connection(self.name, self._server, self._pki) as client:
            session = client.uaclient.session
            self._connected = datetime.now(UTC)
            self._acks, self._sequence = [], None
            await self._subscribe(client, session)
            self._heard = time.monotonic()
            self.connected_tags = max(1, len(self._items))
            self._log.info("connected", url=self._server.url, tags=len(self._items), missing=len(self._items.missing))
            async with asyncio.TaskGroup() as tasks:
                for number in range(_PUBLISHES_IN_FLIGHT):
                    tasks.create_task(self._pump(session, first=number == 0))
                tasks.create_task(self._watch())
                tasks.create_task(self._items.keep())

    async def _subscribe(self, client: Client, session: Any) -> None:
        interval = self._server.publishing_interval_ms
        request = ua.CreateSubscriptionRequest()
        request.Parameters.RequestedPublishingInterval = interval
        keep_alive = max(1, math.ceil(2000 / interval))
        request.Parameters.RequestedMaxKeepAliveCount = keep_alive
        lifetime = math.ceil(self._server.session_timeout_s * 1000 / interval)
        request.Parameters.RequestedLifetimeCount = max(3 * keep_alive, lifetime)
        request.Parameters.MaxNotificationsPerPublish = 0
        request.Parameters.PublishingEnabled = True
        # Not by the client's own method: that starts a loop which acknowledges on receipt, before anything is stored.
        response = struct_from_binary(ua.CreateSubscriptionResponse, await session._send_request(request))
        response.ResponseHeader.ServiceResult.check()
        self._subscription = response.Parameters.SubscriptionId
        await self._items.monitor(client, self._subscription, float(response.Parameters.RevisedPublishingInterval))

    async def _watch(self) -> None:
        """End the connection when it says it is well and yet brings nothing."""
        while True:
            await asyncio.sleep(0.5)
            silent = time.monotonic() - self._heard
            if silent > self._server.silence_timeout_s and not self._holding:
                raise SessionLostError(f"no value for {silent:.0f} s")

    async def _pump(self, session: Any, *, first: bool) -> None:
        """Ask for notifications, store each durably, and only then acknowledge it."""
        while True:
            request = ua.PublishRequest()
            request.Parameters.SubscriptionAcknowledgements, self._acks = self._acks, []
            try:
                body = await session._send_request(request, timeout=0)
            except ua.uaerrors.BadTooManyPublishRequests:
                if first:
                    raise
                return  # the server allows fewer at a time
            except ua.uaerrors.BadTimeout:
                continue
            received = datetime.now(UTC)
            raw = bytes(body)
            try:
                published = decoding.decode(raw, received, self._connected, self._items.elements)
            except ua.UaError:
                raise
            except Exception as error:
                # Not acknowledged: the server keeps it, and the gap says that it is not here.
                self._log.error("notification_undecodable", error=repr(error), bytes=len(raw))
                self._lose("undecodable", repr(error)[:200])
                continue
            await self._handle(session, published, received)

    async def _handle(self, session: Any, published: Publication, received: datetime) -> None:
        if published.status_change is not None and not published.status_change.is_good():
            raise SessionLostError(f"the server ended the subscription: {published.status_change.name}")
        missed = self._missed(published)
        if published.server_clock is not None:
            self.clock_skew_s = (published.server_clock - received).total_seconds()
        if published.has_data or not self._items.beating:
            self._heard = time.monotonic()
        for sequence in missed:
            await self._republish(session, sequence)
        if len(published.readings):
            self._items.note(published.readings)
            await self._store(published.readings)
        if published.has_data:
            self._heard_at = received
            self._acks.append(_acknowledgement(published.subscription_id, published.sequence_number))

    def _lose(self, cause: str, detail: str) -> None:
        """Values may be missing since the publishing before the one that was heard last, in the server's time."""
        heard = (self._heard_at or self._connected) + timedelta(seconds=self.clock_skew_s or 0.0)
        self._sink.lost(cause, detail, heard - timedelta(milliseconds=self._server.publishing_interval_ms))

    def _missed(self, published: Publication) -> range | list[int]:
        """Sequence numbers between the last and this one; a keep-alive names the next one to come."""
        if published.subscription_id != self._subscription:
            return []
        number = published.sequence_number
        expected, self._sequence = self._sequence, number + 1 if published.has_data else number
        if expected is None or number <= expected:  # also where the number starts again after 2**32
            return []
        return range(expected, min(number, expected + _MOST_REPUBLISHED))

    async def _republish(self, session: Any, sequence: int) -> None:
        try:
            message = await session.republish(self._subscription, sequence)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # forgotten by the server, or not to be parsed
            self._log.warning("sequence_gap", sequence=sequence, reason=describe(error))
            self._lose("sequence_gap", f"message {sequence}")
            return
        again = decoding.publication(
            self._subscription, message, datetime.now(UTC), self._connected, self._items.elements
        )
        if len(again.readings):
            await self._store(again.readings)
        self._acks.append(_acknowledgement(self._subscription, sequence))

    async def _store(self, readings: Readings) -> None:
        self._holding += 1  # while the disk keeps us waiting, silence is not the server's
        try:
            await self._sink.take(readings)
        finally:
            self._holding -= 1
            self._heard = time.monotonic()


def _acknowledgement(subscription: int, sequence: int) -> ua.SubscriptionAcknowledgement:
    return ua.SubscriptionAcknowledgement(SubscriptionId=subscription, SequenceNumber=sequence)


async def _outcome(task: asyncio.Task[None]) -> str:
    """Why a connection ended, in a line; its exception is taken from the task."""
    try:
        await task
    except asyncio.CancelledError:
        return "stopped"
    except BaseExceptionGroup as group:
        return describe(group.exceptions[0])
    except Exception as error:
        return describe(error)
    return "ended"
