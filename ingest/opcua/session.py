"""One server: a session that subscribes, goes on where it was, and is built anew whenever values stay away."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from ingest.landing.notes import Resumed
from ingest.opcua.client import PlantClient, abandon, close, connect, describe
from ingest.opcua.decoding import rows_of
from ingest.opcua.history import History
from ingest.opcua.items import Items
from ingest.opcua.publishing import Hearing, Pump, SessionLostError, Sink, SubscriptionEndedError
from ingest.opcua.security import Pki
from ingest.opcua.subscribed import Subscribed
from ingest.opcua.subscription import Keepsake, Subscription
from ingest.plant import Server
from ingest.readings import to_us

_PUBLISHES_IN_FLIGHT: Final = 3
_LONGEST_BACKOFF_S: Final = 30.0
_KEEP_ALIVE_S: Final = 2.0
# An outage that is shorter, and that the subscription outlives, leaves no trace in the ledger.
_TOLD_AFTER_S: Final = 5.0
_MOST_SILENT: Final = 2


@dataclass
class _Outage:
    """Values don't come; whether any are lost shows when they come again."""

    reason: str
    heard: datetime | None
    began_s: float = field(default_factory=time.monotonic)
    loss_id: str | None = None
    """of its entry in the ledger, once it has one"""


class Session:
    """Keeps one server subscribed until `stop` is set; what a later worker needs to go on is kept in `folder`."""

    def __init__(
        self, name: str, server: Server, tags: Sequence[Subscribed], sink: Sink, pki: Pki, folder: Path
    ) -> None:
        self.name = name
        self.connected_tags = 0
        self.reconnects = 0
        self.reason: str | None = None
        """why there is no connection, in a line; that of the last one while there is"""
        self._server = server
        self._items = Items(name, tags, self._lose)
        self._sink = sink
        self._pki = pki
        self._log = structlog.get_logger("ingest").bind(server=name)
        self._keepsake = Keepsake(folder)
        self._subscription = self._keepsake.load()
        self._hearing = Hearing(server.publishing_interval_ms)
        self._outage: _Outage | None = _Outage("the worker was not running", None)
        self._silent = 0

    @property
    def missing(self) -> int:
        """How many tags the server doesn't have."""
        return len(self._items.missing)

    @property
    def clock_skew_s(self) -> float | None:
        """How far the server's clock is ahead of ours; None before it was heard."""
        return self._hearing.skew_s

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, collect, and begin again after whatever happens; returns when stopped."""
        telling = asyncio.create_task(self._tell_long_outages())
        try:
            await self._run(stop)
        finally:
            telling.cancel()

    async def _run(self, stop: asyncio.Event) -> None:
        failures = 0
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
                self._outage = self._outage or _Outage(reason, self._hearing.since)
            failures = 0 if time.monotonic() - started > 2 * _LONGEST_BACKOFF_S else failures + 1
            pause = min(_LONGEST_BACKOFF_S, 0.5 * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)
            if not was_connected and failures & (failures - 1) == 0:  # 1st, 2nd, 4th, 8th …: no flood
                self._log.warning("connect_failed", url=self._server.url, reason=reason, attempts=failures)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def _collect(self) -> None:
        """One connection from beginning to end; always ends by an exception or by being cancelled."""
        client = PlantClient(self.name, self._server, self._pki)
        await connect(client)
        try:
            started = await self._started(client)
            if self._subscription is not None and self._subscription.started == started != "":
                client, carried = await self._take_up(client, self._subscription)
            else:
                carried = False
            await self._keep_up(client, carried, started)
        except asyncio.CancelledError:
            # A stop: the server may forget us, and the next start reads its history.
            self._forget()
            await close(client)
            raise
        except BaseException as error:
            if _has_ended(error):
                self._forget()
            # What it queues for us meanwhile is had when the session or the subscription is taken up again.
            await (close(client) if self._subscription is None else abandon(client))
            raise

    async def _keep_up(self, client: PlantClient, carried: bool, started: str) -> None:
        subscription = self._subscription
        if subscription is not None and carried:
            await self._items.adopt(
                client, subscription.subscription_id, subscription.publishing_ms, subscription.items
            )
            subscription.token, subscription.nonce = _credentials(client)
        else:
            self._forget()
            self._tell()
            subscription = await self._subscribe(client, started)
            await self._items.monitor(client, subscription.subscription_id, subscription.publishing_ms)
        self._subscription = subscription
        self._save(subscription)
        self._end_outage(carried)
        self._hearing.value_s = time.monotonic()
        self.connected_tags = max(1, len(self._items))
        self._log.info("connected", url=self._server.url, tags=len(self._items), missing=self.missing, resumed=carried)
        session = client.uaclient.session
        pump = Pump(session, subscription, self._keepsake, self._items, self._sink, self._hearing)
        async with asyncio.TaskGroup() as tasks:
            for number in range(_PUBLISHES_IN_FLIGHT):
                tasks.create_task(pump.run(first=number == 0))
            tasks.create_task(self._watch(pump, subscription, carried))
            tasks.create_task(History(self.name, self._items, self._sink, session).run())
            tasks.create_task(self._ask_after_losses(pump, subscription))
            tasks.create_task(self._items.keep())

    async def _started(self, client: PlantClient) -> str:
        """When this run of the server began; empty where it doesn't say."""
        node = ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime)
        (value,) = await client.uaclient.session.read_attributes([node], ua.AttributeIds.Value)
        moment = value.Value.Value if value.Value is not None else None
        return moment.isoformat() if isinstance(moment, datetime) else ""

    async def _take_up(self, probe: PlantClient, kept: Subscription) -> tuple[PlantClient, bool]:
        """Take the session up again, or else transfer its subscription to a new one; and whether it could be had.

        `probe` has shown that this is still the server that `kept` is about. Taking the session up goes first: it is
        what every server has that keeps sessions at all, and asyncua's own doesn't publish what was transferred.
        """
        client = PlantClient(self.name, self._server, self._pki)
        client.session_state_path = self._keepsake.session_state(kept)
        client._policy_ids = probe._policy_ids  # as from the CreateSession that is left out
        try:
            await connect(client)
        finally:
            await close(probe)
            client.session_state_path.unlink(missing_ok=True)
            client.session_state_path = None
        try:
            session = client.uaclient.session
            if _credentials(client)[0] == kept.token:
                publishing = ua.SetPublishingModeParameters(
                    PublishingEnabled=True, SubscriptionIds=[kept.subscription_id]
                )
                return client, (await session.set_publishing_mode(publishing))[0].is_good()
            wanted = ua.TransferSubscriptionsParameters(SubscriptionIds=[kept.subscription_id], SendInitialValues=False)
            return client, (await session.transfer_subscriptions(wanted))[0].StatusCode.is_good()
        except ua.UaError as error:
            self._log.info("subscription_not_taken_up", reason=describe(error))
            return client, False
        except BaseException:
            await abandon(client)
            raise

    async def _subscribe(self, client: PlantClient, started: str) -> Subscription:
        interval = self._server.publishing_interval_ms
        request = ua.CreateSubscriptionRequest()
        request.Parameters.RequestedPublishingInterval = interval
        keep_alive = max(1, math.ceil(_KEEP_ALIVE_S * 1000 / interval))
        request.Parameters.RequestedMaxKeepAliveCount = keep_alive
        lifetime = math.ceil(self._server.session_timeout_s * 1000 / interval)
        request.Parameters.RequestedLifetimeCount = max(3 * keep_alive, lifetime)
        request.Parameters.MaxNotificationsPerPublish = 0
        request.Parameters.PublishingEnabled = True
        # Not by the client's own method: that starts a loop which acknowledges on receipt, before anything is stored.
        body = await client.uaclient.session._send_request(request)
        response = struct_from_binary(ua.CreateSubscriptionResponse, body)
        response.ResponseHeader.ServiceResult.check()
        made = response.Parameters
        publishing_ms = float(made.RevisedPublishingInterval)
        token, nonce = _credentials(client)
        return Subscription(
            made.SubscriptionId,
            publishing_ms,
            made.RevisedMaxKeepAliveCount * publishing_ms / 1000,
            started,
            token,
            nonce,
        )

    async def _watch(self, pump: Pump, subscription: Subscription, carried: bool) -> None:
        """End the connection when it says it is well and yet brings nothing; keep the subscription's items kept."""
        monitored = dict(self._items.monitored)
        while True:
            await asyncio.sleep(0.5)
            if pump.answered:
                self._silent = 0
            silent = time.monotonic() - self._hearing.value_s
            patience = float(self._server.silence_timeout_s)
            if carried and not pump.answered:
                patience = min(patience, 2 * subscription.keep_alive_s + 1.0)
            if silent > patience and not pump.holding:
                self._silent += carried and not pump.answered
                if self._silent >= _MOST_SILENT:
                    raise SubscriptionEndedError("the subscription that was taken up says nothing")
                raise SessionLostError(f"no value for {silent:.0f} s")
            if monitored != self._items.monitored:
                monitored = dict(self._items.monitored)
                self._save(subscription)

    async def _ask_after_losses(self, pump: Pump, subscription: Subscription) -> None:
        """Read every tag after a loss: one that hasn't changed since would say nothing, and its gap would stay open."""
        while True:
            await pump.lost.wait()
            pump.lost.clear()
            await asyncio.sleep(2 * subscription.publishing_ms / 1000)  # most have said something by then
            connected = datetime.now(UTC)
            try:
                values = await self._items.values()
            except (ua.UaError, TimeoutError) as error:
                self._log.info("not_read_after_loss", reason=describe(error))
                continue
            items = [ua.MonitoredItemNotification(handle, value) for handle, value in values]
            readings = rows_of(items, datetime.now(UTC), connected, self._items.elements)
            await self._sink.take(readings)

    def _save(self, subscription: Subscription) -> None:
        subscription.items = self._items.state()
        try:
            self._keepsake.save(subscription)
        except OSError as error:
            # The disk is full: this worker goes on without; one that follows reads the server's history.
            self._log.warning("subscription_not_kept", reason=str(error))

    def _forget(self) -> None:
        self._subscription = None
        self._silent = 0
        self._keepsake.forget()

    async def _tell_long_outages(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self._outage is not None and time.monotonic() - self._outage.began_s > _TOLD_AFTER_S:
                self._tell()

    def _tell(self) -> None:
        """Enter the outage in the ledger, behind all that came before it."""
        outage = self._outage
        if outage is not None and outage.loss_id is None:
            outage.loss_id = self._sink.lost("outage", outage.reason, outage.heard)

    def _lose(self, cause: str, detail: str, heard: datetime, tag_ids: Sequence[int]) -> None:
        """Values of single tags are missing since `heard`, by our clock."""
        self._sink.lost(cause, detail, heard + timedelta(seconds=self._hearing.skew_s or 0.0), tag_ids)

    def _end_outage(self, carried: bool) -> None:
        if carried and self._outage is not None and self._outage.loss_id is not None:
            self._sink.note(Resumed(self._outage.loss_id, to_us(datetime.now(UTC))))
        self._outage = None


def _credentials(client: PlantClient) -> tuple[str, str | None]:
    """The session's token, and the nonce that its next activation signs."""
    nonce = client._server_nonce
    return client.uaclient.session.authentication_token.to_string(), nonce.hex() if nonce else None


def _has_ended(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_has_ended(part) for part in error.exceptions)
    return isinstance(error, SubscriptionEndedError)


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
