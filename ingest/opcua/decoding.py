"""Undecoded PublishResponses into rows: what surrounds the notifications, and those of one that is decoded already."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary

from ingest.opcua.notifications import (
    BAD_WAITING_FOR_INITIAL_DATA,
    HEARTBEAT,
    LARGEST_TAG,
    Elements,
    decode_changes,
    decode_history,
    mark_non_finite,
    microseconds,
)
from ingest.opcua.variants import (
    SEPARATOR,
    Converted,
    MalformedError,
    aware,
    convert,
    convert_elements,
    diagnostic_info_end,
    extension_object_end,
    sized,
)
from ingest.readings import NO_TIME, Readings, concatenate, empty_rows, to_datetime, to_us

__all__ = [
    "HEARTBEAT",
    "SEPARATOR",
    "MalformedError",
    "Past",
    "Publication",
    "decode",
    "history",
    "publication",
    "republished",
    "rows_of",
]

_PUBLISH: Final = int(ua.ObjectIds.PublishResponse_Encoding_DefaultBinary)
_REPUBLISH: Final = int(ua.ObjectIds.RepublishResponse_Encoding_DefaultBinary)
_HISTORY_READ: Final = int(ua.ObjectIds.HistoryReadResponse_Encoding_DefaultBinary)
_HISTORY_DATA: Final = int(ua.ObjectIds.HistoryData_Encoding_DefaultBinary)
_DATA_CHANGE: Final = int(ua.ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
_STATUS_CHANGE: Final = int(ua.ObjectIds.StatusChangeNotification_Encoding_DefaultBinary)

# No diagnostics, no strings for them, nothing additional: how a response header ends.
_PLAIN: Final = (b"\0" + b"\0\0\0\0" + b"\0\0\0", b"\0" + b"\xff\xff\xff\xff" + b"\0\0\0")

_UINT16: Final = struct.Struct("<H")
_UINT32: Final = struct.Struct("<I")
_INT32: Final = struct.Struct("<i")
_SEQUENCE_AND_TIME: Final = struct.Struct("<Iq")
_NOTHING: Final = bytes(4)  # no values


@dataclass(frozen=True)
class Publication:
    """What one PublishResponse said."""

    subscription_id: int
    sequence_number: int
    has_data: bool
    readings: Readings
    server_clock: datetime | None = None
    status_change: ua.StatusCode | None = None
    sent_us: int | None = None
    """when the server says it sent this, µs since 2000 by its clock; None where it doesn't"""


def decode(body: Any, received: datetime, connected: datetime, elements: Elements | None = None) -> Publication:
    """Decode the body of a PublishResponse. `elements`: see `ingest.opcua.notifications`.

    Raises MalformedError for what is none, and the UaStatusCodeError of a fault.
    """
    raw = bytes(body)
    at = _header_end(raw, _PUBLISH)
    try:
        (subscription_id,) = _UINT32.unpack_from(raw, at)
        at = _array_end(raw, at + 4) + 1  # the numbers that the server still keeps, and whether there is more
        published, at = _message(raw, at, subscription_id, received, connected, elements or {})
        _diagnostics_end(raw, _array_end(raw, at))  # what became of the acknowledgements
    except (IndexError, struct.error) as error:
        raise MalformedError(f"the notification breaks off: {error}") from error
    return published


def republished(
    body: Any, subscription_id: int, received: datetime, connected: datetime, elements: Elements | None = None
) -> Publication:
    """Decode the body of a RepublishResponse, which doesn't say whose it is; raises as `decode` does."""
    raw = bytes(body)
    at = _header_end(raw, _REPUBLISH)
    try:
        return _message(raw, at, subscription_id, received, connected, elements or {})[0]
    except (IndexError, struct.error) as error:
        raise MalformedError(f"the notification breaks off: {error}") from error


@dataclass(frozen=True)
class Past:
    """What a HistoryReadResponse said of one node; a continuation point where there is more."""

    status: ua.StatusCode
    continuation_point: bytes | None
    readings: Readings


def history(
    body: Any, handles: Sequence[int], received: datetime, connected: datetime, elements: Elements | None = None
) -> list[Past]:
    """Decode the body of a HistoryReadResponse about raw values of the nodes with these client handles, in their order.

    Raises as `decode` does; the status of a node is not raised.
    """
    raw = bytes(body)
    at = _header_end(raw, _HISTORY_READ)
    received_us, connected_us = to_us(received), to_us(connected)
    found = []
    try:
        count = _count(raw, at)
        if count != len(handles):
            raise MalformedError(f"history of {count} nodes where that of {len(handles)} was asked for")
        at += 4
        for handle in handles:
            status = ua.StatusCode(_UINT32.unpack_from(raw, at)[0])
            start, at = at + 8, sized(raw, at + 4)
            point = raw[start:at] or None
            type_id, start, at = _extension_object(raw, at)
            if type_id and type_id != _HISTORY_DATA:
                raise MalformedError(f"history of type {type_id}")
            values = raw[start:at] if type_id else _NOTHING
            found.append(Past(status, point, decode_history(values, handle, received_us, connected_us, elements or {})))
        _diagnostics_end(raw, at)
    except (IndexError, struct.error) as error:
        raise MalformedError(f"the history breaks off: {error}") from error
    return found


def _header_end(raw: bytes, wanted: int) -> int:
    """Where the header of a response of type `wanted` ends."""
    try:
        type_id, at = _type_id(raw, 0)
        (result,) = _UINT32.unpack_from(raw, at + 12)
        if type_id == wanted and not result and raw[at + 16 : at + 24] in _PLAIN:
            return at + 24
        at = diagnostic_info_end(raw, at + 16)
        count = _count(raw, at)
        at += 4
        for _ in range(count):
            at = sized(raw, at)
        at = extension_object_end(raw, at)
    except (IndexError, struct.error) as error:
        raise MalformedError(f"the response breaks off in its header: {error}") from error
    ua.StatusCode(result).check()
    if type_id != wanted:
        raise MalformedError(f"a response of type {type_id}")
    return at


def _type_id(raw: bytes, at: int) -> tuple[int, int]:
    """The standard's number of the encoding at `at`, 0 where it isn't the standard's, and where it ends."""
    if raw[at : at + 2] == b"\x01\x00":
        return _UINT16.unpack_from(raw, at + 2)[0], at + 4
    buffer = Buffer(raw, at)
    try:
        node_id = nodeid_from_binary(buffer)
    except Exception as error:
        # The library raises whatever the bytes lead it to.
        raise MalformedError(f"no node id: {error!r}") from error
    standard = node_id.NamespaceIndex == 0 and isinstance(node_id.Identifier, int)
    return node_id.Identifier if standard else 0, len(raw) - len(buffer)


def _message(
    raw: bytes, at: int, subscription_id: int, received: datetime, connected: datetime, elements: Elements
) -> tuple[Publication, int]:
    """The NotificationMessage at `at`, and where it ends."""
    sequence_number, ticks = _SEQUENCE_AND_TIME.unpack_from(raw, at)
    at += _SEQUENCE_AND_TIME.size
    count = _count(raw, at)
    at += 4
    received_us, connected_us = to_us(received), to_us(connected)
    batches, clock_us, status_change = [], None, None
    for _ in range(count):
        type_id, start, at = _extension_object(raw, at)
        if type_id == _DATA_CHANGE:
            readings, clock = decode_changes(raw[start:at], received_us, connected_us, elements)
            batches.append(readings)
            clock_us = clock_us if clock is None else clock
        elif type_id == _STATUS_CHANGE:
            status_change = ua.StatusCode(_UINT32.unpack_from(raw, start)[0])
    readings = concatenate(batches) if batches else Readings(empty_rows(0), [], received_us, connected_us)
    clock_moment = None if clock_us is None else to_datetime(clock_us)
    sent_us = microseconds(ticks) if ticks > 0 else None
    return Publication(subscription_id, sequence_number, count > 0, readings, clock_moment, status_change, sent_us), at


def _extension_object(raw: bytes, at: int) -> tuple[int, int, int]:
    """(type, where its body begins, where it ends) of a structure."""
    type_id, at = _type_id(raw, at)
    if not raw[at]:
        if type_id in (_DATA_CHANGE, _STATUS_CHANGE, _HISTORY_DATA):
            raise MalformedError("a structure without a body")
        return type_id, at + 1, at + 1
    end = sized(raw, at + 1)
    if end > len(raw):
        raise MalformedError(f"a structure that ends at {end} of {len(raw)} bytes")
    return type_id, at + 5, end


def _count(raw: bytes, at: int) -> int:
    """The count of the array at `at`, which can't have more elements than there are bytes."""
    count: int = _INT32.unpack_from(raw, at)[0]
    if not -1 <= count <= len(raw) - at - 4:
        raise MalformedError(f"an array of {count} in {len(raw) - at} bytes")
    return max(count, 0)


def _array_end(raw: bytes, at: int) -> int:
    """Where the array of 32-bit numbers at `at` ends."""
    return at + 4 + 4 * _count(raw, at)


def _diagnostics_end(raw: bytes, at: int) -> None:
    """Read the last array of a response; more may follow in versions to come."""
    count = _count(raw, at)
    at += 4
    for _ in range(count):
        at = diagnostic_info_end(raw, at)
    if at > len(raw):
        raise MalformedError(f"the response ends at {at} of {len(raw)} bytes")


def publication(
    subscription_id: int, message: Any, received: datetime, connected: datetime, elements: Elements | None = None
) -> Publication:
    """A NotificationMessage that is decoded already as rows."""
    items: list[Any] = []
    status_change = None
    for notification in message.NotificationData or []:
        if isinstance(notification, ua.DataChangeNotification):
            items.extend(notification.MonitoredItems or [])
        elif isinstance(notification, ua.StatusChangeNotification):
            status_change = notification.Status
    clock = [i.Value.Value.Value for i in items if i.ClientHandle == HEARTBEAT and i.Value.Value is not None]
    clocks = [moment for moment in clock if isinstance(moment, datetime)]
    values = [item for item in items if item.ClientHandle != HEARTBEAT and not _announced(item)]
    return Publication(
        subscription_id,
        message.SequenceNumber,
        bool(message.NotificationData),
        rows_of(values, received, connected, elements),
        aware(clocks[-1]) if clocks else None,
        status_change,
    )


def _announced(item: Any) -> bool:
    """Whether a server only says that the first value is yet to come: neither a reading nor a loss of one."""
    data = item.Value
    waiting = data.StatusCode is not None and data.StatusCode.value == BAD_WAITING_FOR_INITIAL_DATA
    return waiting and data.SourceTimestamp is None


def rows_of(
    items: Iterable[Any], received: datetime, connected: datetime, elements: Elements | None = None
) -> Readings:
    """MonitoredItemNotifications as rows; a missing source timestamp is the server's, else when it was received."""
    given = [(item.Value, tag_id, converted) for item in items for tag_id, converted in _tags_of(item, elements or {})]
    rows = empty_rows(len(given))
    texts: list[str] = []
    received_us = to_us(received)
    for row, (data, tag_id, (kind, value, text)) in zip(rows, given, strict=True):
        row["tag_id"] = tag_id
        row["status"] = (data.StatusCode.value if data.StatusCode is not None else 0) & 0xFFFF_FFFF
        server_us = to_us(aware(data.ServerTimestamp)) if data.ServerTimestamp is not None else NO_TIME
        row["server_ts"] = server_us
        if data.SourceTimestamp is not None:
            row["source_ts"] = to_us(aware(data.SourceTimestamp))
        else:
            row["source_ts"] = server_us if server_us != NO_TIME else received_us
        row["kind"], row["value"] = kind, value
        if text is not None:
            row["text"] = len(texts)
            texts.append(text)
    mark_non_finite(rows)
    return Readings(rows, texts, received_us, to_us(connected))


def _tags_of(item: Any, elements: Elements) -> Iterator[tuple[int, Converted]]:
    """The tags that an item has values of, and those; an array's are its elements'."""
    value = item.Value.Value.Value if item.Value.Value is not None else None
    wanted = elements.get(item.ClientHandle)
    if wanted is None:
        yield item.ClientHandle if item.ClientHandle <= LARGEST_TAG else 0, convert(value)
    else:
        converted = convert_elements(value, [place for place, _ in wanted])
        yield from zip([tag_id for _, tag_id in wanted], converted, strict=True)
