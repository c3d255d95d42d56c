"""Undecoded PublishResponses into rows. The only module that knows what a notification looks like."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from ingest.readings import NO_TIME, NULL, NUMBER, REJECTED, TEXT, Readings, empty_rows, to_us

HEARTBEAT: Final = 0xFFFF_FFFF
"""client handle of the server's own clock"""
# Handles are tag ids, so that a row says by itself whose it is.
_LARGEST_TAG: Final = 2**31 - 1
_BAD_WAITING_FOR_INITIAL_DATA: Final = 0x8032_0000
SEPARATOR: Final = "\x1f"
"""stands between the reason and the payload in the text of a rejected row"""


@dataclass(frozen=True)
class Publication:
    """What one PublishResponse said."""

    subscription_id: int
    sequence_number: int
    has_data: bool
    readings: Readings
    server_clock: datetime | None = None
    status_change: ua.StatusCode | None = None


def decode(body: Any, received: datetime, connected: datetime) -> Publication:
    """Decode the body of a PublishResponse; raises what asyncua raises where it can't be parsed, UaError on a fault."""
    response = struct_from_binary(ua.PublishResponse, body)
    response.ResponseHeader.ServiceResult.check()
    parameters = response.Parameters
    return publication(parameters.SubscriptionId, parameters.NotificationMessage, received, connected)


def publication(subscription_id: int, message: Any, received: datetime, connected: datetime) -> Publication:
    """A NotificationMessage that is decoded already (a republished one comes so) as rows."""
    items: list[Any] = []
    status_change = None
    for notification in message.NotificationData or []:
        if isinstance(notification, ua.DataChangeNotification):
            items.extend(notification.MonitoredItems or [])
        elif isinstance(notification, ua.StatusChangeNotification):
            status_change = notification.Status
    clock = [
        item.Value.Value.Value for item in items if item.ClientHandle == HEARTBEAT and item.Value.Value is not None
    ]
    readings = rows_of((i for i in items if i.ClientHandle != HEARTBEAT and not _announced(i)), received, connected)
    last_clock = clock[-1] if clock and isinstance(clock[-1], datetime) else None
    return Publication(
        subscription_id,
        message.SequenceNumber,
        bool(message.NotificationData),
        readings,
        _aware(last_clock) if last_clock else None,
        status_change,
    )


def _announced(item: Any) -> bool:
    """Whether a server only says that the first value is yet to come: neither a reading nor a loss of one."""
    data = item.Value
    waiting = data.StatusCode is not None and data.StatusCode.value == _BAD_WAITING_FOR_INITIAL_DATA
    return waiting and data.SourceTimestamp is None


def rows_of(items: Iterable[Any], received: datetime, connected: datetime) -> Readings:
    """MonitoredItemNotifications as rows; a missing source timestamp is the server's, else when it was received."""
    items = list(items)
    rows = empty_rows(len(items))
    texts: list[str] = []
    received_us = to_us(received)
    for row, item in zip(rows, items, strict=True):
        data = item.Value
        row["tag_id"] = item.ClientHandle if item.ClientHandle <= _LARGEST_TAG else 0
        row["status"] = (data.StatusCode.value if data.StatusCode is not None else 0) & 0xFFFF_FFFF
        server_us = to_us(_aware(data.ServerTimestamp)) if data.ServerTimestamp is not None else NO_TIME
        row["server_ts"] = server_us
        if data.SourceTimestamp is not None:
            row["source_ts"] = to_us(_aware(data.SourceTimestamp))
        else:
            row["source_ts"] = server_us if server_us != NO_TIME else received_us
        kind, value, text = convert(data.Value.Value if data.Value is not None else None)
        row["kind"], row["value"] = kind, value
        if text is not None:
            row["text"] = len(texts)
            texts.append(text)
    return Readings(rows, texts, received_us, to_us(connected))


def convert(value: Any) -> tuple[int, float, str | None]:
    """(kind, number, text) of a value; what can't be a reading is REJECTED with the reason in its text."""
    if value is None:
        return NULL, 0.0, None
    if isinstance(value, bool | int | float):
        return NUMBER, float(value), None
    if isinstance(value, str):
        return TEXT, 0.0, value
    if isinstance(value, datetime):
        return TEXT, 0.0, _aware(value).isoformat()
    if isinstance(value, ua.LocalizedText):
        return TEXT, 0.0, value.Text or ""
    what = f"array of {len(value)}" if isinstance(value, list) else type(value).__name__
    return REJECTED, math.nan, f"unsupported type: {what}{SEPARATOR}{str(value)[:1000]}"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
