"""An OPC UA server that does nothing but replay: encoded PublishResponses, as fast as a client takes them or at a rate.

    python -m bench.stub PORT TAGS

It speaks what a client needs to monitor TAGS Doubles, whatever their node ids, without security. A line `N RATE` on
stdin sends N notifications of a value a tag to its client, RATE values a second (0: one for every PublishRequest there
is); when they are gone a line on stdout says, as JSON, `first_us` and `last_us`: the source times (µs since 1970) of
the first and the last, and `seconds` between their sending.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import typer
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import (
    header_from_binary,
    nodeid_from_binary,
    struct_from_binary,
    struct_to_binary,
    uatcp_to_binary,
)

from bench.plant import NAMESPACE

NAMESPACES: Final = ["http://opcfoundation.org/UA/", "urn:millwright:stub", NAMESPACE]
_CLOCK: Final = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
_ITEM: Final = np.dtype(
    {
        "names": ["handle", "mask", "kind", "value", "status", "source", "server"],
        "formats": ["<u4", "u1", "u1", "<f8", "<u4", "<i8", "<i8"],
        "offsets": [0, 4, 5, 6, 14, 18, 26],
        "itemsize": 34,
    }
)
_KEEP_ALIVE_S: Final = 1.0
_UNIX_TICKS: Final = 116_444_736_000_000_000


class Replay:
    """A PublishResponse of one value an item, encoded once; what differs from one to the next is written into it."""

    def __init__(self, handles: list[int]) -> None:
        changes = ua.DataChangeNotification()
        moment = ua.win_epoch_to_datetime(_UNIX_TICKS)
        value = ua.DataValue(ua.Variant(0.0, ua.VariantType.Double), ua.StatusCode(0), moment, moment)
        changes.MonitoredItems = [ua.MonitoredItemNotification(handle, value) for handle in handles]
        response = ua.PublishResponse()
        response.Parameters.SubscriptionId = 1
        response.Parameters.NotificationMessage.SequenceNumber = 0xFEED_BEEF
        response.Parameters.NotificationMessage.NotificationData = [changes]
        self._encoded = bytearray(struct_to_binary(response))
        self._number_at = self._encoded.index(b"\xef\xbe\xed\xfe")
        at = len(self._encoded) - 12 - _ITEM.itemsize * len(handles)  # behind them: diagnostics, results, diagnostics
        self._items = np.ndarray((len(handles),), _ITEM, self._encoded, at)
        if self._items["handle"].tolist() != handles:
            raise RuntimeError("the items are not where they were expected")

    def body(self, request_handle: int, number: int, us: int, value: float) -> bytes:
        """The response to a request, with a sequence number, and a value at a time (µs since 1970) for all items."""
        self._encoded[12:16] = request_handle.to_bytes(4, "little")
        self._encoded[self._number_at : self._number_at + 4] = number.to_bytes(4, "little")
        self._items["source"] = self._items["server"] = us * 10 + _UNIX_TICKS
        self._items["value"] = value
        return bytes(self._encoded)


class Stub(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, tags: int, connected: Callable[[Stub], None]) -> None:
        self._tags = tags
        self._connected = connected
        self._unparsed = b""
        self._handles: list[int] = []
        self._requests: deque[tuple[int, int]] = deque()
        self._asked = asyncio.Event()
        self._number = 0
        self._last = datetime.now(UTC), 0.0
        self._channel = SecureConnection(SecurityPolicyNone(), TransportLimits())
        self._transport: asyncio.Transport | None = None
        self._services: dict[int, Callable[[Buffer], Any]] = {
            ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary: self._create_session,
            ua.ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary: lambda _: ua.ActivateSessionResponse(),
            ua.ObjectIds.CloseSessionRequest_Encoding_DefaultBinary: lambda _: ua.CloseSessionResponse(),
            ua.ObjectIds.ReadRequest_Encoding_DefaultBinary: self._read,
            ua.ObjectIds.CreateSubscriptionRequest_Encoding_DefaultBinary: self._create_subscription,
            ua.ObjectIds.CreateMonitoredItemsRequest_Encoding_DefaultBinary: self._create_monitored_items,
            ua.ObjectIds.DeleteSubscriptionsRequest_Encoding_DefaultBinary: lambda _: ua.DeleteSubscriptionsResponse(),
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connected(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._asked.set()

    def get_new_channel_id(self) -> int:
        """Asked by the channel when it is opened."""
        return 1

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        while len(self._unparsed) >= 8:
            size = int.from_bytes(self._unparsed[4:8], "little")
            if len(self._unparsed) < size:
                return
            message, self._unparsed = Buffer(self._unparsed[:size]), self._unparsed[size:]
            header = header_from_binary(message)
            received = self._channel.receive_from_header_and_body(header, message)
            if isinstance(received, ua.Hello):
                self._write(uatcp_to_binary(ua.MessageType.Acknowledge, ua.Acknowledge(0, 65536, 65536, 0, 0)))
            elif header.MessageType == ua.MessageType.SecureOpen:
                request = struct_from_binary(ua.OpenSecureChannelRequest, received.body())
                response = ua.OpenSecureChannelResponse()
                response.Parameters = self._channel.open(request.Parameters, self)
                self._answer(response, received.request_id(), request.RequestHeader.RequestHandle, opening=True)
            elif header.MessageType == ua.MessageType.SecureClose:
                if self._transport is not None:
                    self._transport.close()
                return
            elif received is not None:  # None: a part of a longer message
                self._serve(received.request_id(), received.body())

    def _serve(self, request_id: int, body: Buffer) -> None:
        service = nodeid_from_binary(body).Identifier
        handle = struct_from_binary(ua.RequestHeader, body).RequestHandle
        if service == ua.ObjectIds.PublishRequest_Encoding_DefaultBinary:
            self._requests.append((request_id, handle))
            self._asked.set()
            return
        serve = self._services.get(service)
        response = serve(body) if serve else ua.ServiceFault()
        if serve is None:
            response.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadServiceUnsupported)
        self._answer(response, request_id, handle)

    def _answer(self, response: Any, request_id: int, handle: int, *, opening: bool = False) -> None:
        response.ResponseHeader.RequestHandle = handle
        kind = ua.MessageType.SecureOpen if opening else ua.MessageType.SecureMessage
        self._write(
            self._channel.message_to_binary(struct_to_binary(response), message_type=kind, request_id=request_id)
        )

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _create_session(self, body: Buffer) -> ua.CreateSessionResponse:
        asked = struct_from_binary(ua.CreateSessionParameters, body)
        response = ua.CreateSessionResponse()
        response.Parameters.SessionId = ua.NodeId(1, 1)
        response.Parameters.AuthenticationToken = ua.NodeId(2, 1)
        response.Parameters.RevisedSessionTimeout = asked.RequestedSessionTimeout
        endpoint = ua.EndpointDescription()
        endpoint.EndpointUrl = asked.EndpointUrl
        endpoint.SecurityMode = ua.MessageSecurityMode.None_
        endpoint.SecurityPolicyUri = SecurityPolicyNone.URI
        endpoint.UserIdentityTokens = [ua.UserTokenPolicy("anonymous", ua.UserTokenType.Anonymous)]
        response.Parameters.ServerEndpoints = [endpoint]
        return response

    def _read(self, body: Buffer) -> ua.ReadResponse:
        response = ua.ReadResponse()
        response.Results = [
            self._value(node.NodeId) for node in struct_from_binary(ua.ReadParameters, body).NodesToRead
        ]
        return response

    def _value(self, node: ua.NodeId) -> ua.DataValue:
        now = datetime.now(UTC)
        if node == ua.NodeId(ua.ObjectIds.Server_NamespaceArray):
            return ua.DataValue(ua.Variant(NAMESPACES, ua.VariantType.String))
        if node == _CLOCK:
            return ua.DataValue(ua.Variant(now, ua.VariantType.DateTime), ua.StatusCode(0), now, now)
        if node == ua.NodeId(ua.ObjectIds.Server_ServerStatus_State):
            return ua.DataValue(ua.Variant(ua.ServerState.Running, ua.VariantType.Int32))
        if node.NamespaceIndex:
            told, value = self._last
            return ua.DataValue(ua.Variant(value, ua.VariantType.Double), ua.StatusCode(0), told, told)
        return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))

    def _create_subscription(self, body: Buffer) -> ua.CreateSubscriptionResponse:
        asked = struct_from_binary(ua.CreateSubscriptionParameters, body)
        response = ua.CreateSubscriptionResponse()
        response.Parameters.SubscriptionId = 1
        response.Parameters.RevisedPublishingInterval = asked.RequestedPublishingInterval
        response.Parameters.RevisedLifetimeCount = asked.RequestedLifetimeCount
        response.Parameters.RevisedMaxKeepAliveCount = asked.RequestedMaxKeepAliveCount
        return response

    def _create_monitored_items(self, body: Buffer) -> ua.CreateMonitoredItemsResponse:
        response = ua.CreateMonitoredItemsResponse()
        response.Results = []
        for item in struct_from_binary(ua.CreateMonitoredItemsParameters, body).ItemsToCreate:
            result = ua.MonitoredItemCreateResult()
            result.MonitoredItemId = item.RequestedParameters.ClientHandle % (1 << 31) + 1
            result.RevisedSamplingInterval = item.RequestedParameters.SamplingInterval
            result.RevisedQueueSize = item.RequestedParameters.QueueSize
            if item.ItemToMonitor.NodeId == _CLOCK:
                # A client that watches over values is content with those that come.
                result.StatusCode = ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)
            else:
                self._handles.append(item.RequestedParameters.ClientHandle)
            response.Results.append(result)
        return response

    @property
    def ready(self) -> bool:
        """Whether the client monitors all tags, and asks to be told."""
        return len(self._handles) >= self._tags and bool(self._requests)

    async def _request(self) -> tuple[int, int]:
        while not self._requests:
            if self._transport is None:
                raise ConnectionError("the client has gone")
            self._asked.clear()
            await self._asked.wait()
        return self._requests.popleft()

    def _publish(self, request_id: int, body: bytes) -> None:
        self._write(self._channel.message_to_binary(body, request_id=request_id))

    async def replay(self, count: int, rate: float) -> dict[str, float]:
        """Send `count` notifications of a value an item."""
        replay = Replay(self._handles)
        us = first_us = time.time_ns() // 1000 + 1
        begun = time.perf_counter()
        for number in range(count):
            if rate:
                due = number * len(self._handles) / rate
                await asyncio.sleep(max(0.0, due - (time.perf_counter() - begun)))
                us = first_us + int(due * 1e6)  # when it should have been sent, though the client may keep it waiting
            else:
                us = max(us + 1, time.time_ns() // 1000)
            request_id, handle = await self._request()
            self._number += 1
            value = 20.0 + number % 7
            self._publish(request_id, replay.body(handle, self._number, us, value))
            self._last = datetime.fromtimestamp(us / 1e6, UTC), value
            await asyncio.sleep(0)
        return {"first_us": first_us, "last_us": us, "seconds": time.perf_counter() - begun}

    async def keep_alive(self) -> None:
        """Say that there is nothing new, until cancelled."""
        while True:
            await asyncio.sleep(_KEEP_ALIVE_S)
            request_id, handle = await self._request()
            response = ua.PublishResponse()
            response.ResponseHeader.RequestHandle = handle
            response.Parameters.SubscriptionId = 1
            response.Parameters.NotificationMessage.SequenceNumber = self._number + 1
            self._publish(request_id, struct_to_binary(response))


async def serve(port: int, tags: int) -> None:
    """Serve one client after the other, and do what stdin says, until it ends."""
    loop = asyncio.get_running_loop()
    clients: list[Stub] = []
    server = await loop.create_server(lambda: Stub(tags, clients.append), "127.0.0.1", port)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with server:
        while True:
            idle = asyncio.create_task(_idle(clients))
            line = await lines.readline()
            idle.cancel()
            if not line:
                return
            while not (clients and clients[-1].ready):
                await asyncio.sleep(0.01)
            count, rate = line.split()
            sent = await clients[-1].replay(int(count), float(rate))
            sys.stdout.write(json.dumps(sent) + "\n")
            sys.stdout.flush()


async def _idle(clients: list[Stub]) -> None:
    while not (clients and clients[-1].ready):
        await asyncio.sleep(0.1)
    await clients[-1].keep_alive()


def main(port: int, tags: int) -> None:
    asyncio.run(serve(port, tags))


if __name__ == "__main__":
    typer.run(main)
