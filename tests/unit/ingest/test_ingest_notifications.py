"""The decoder against asyncua's generic one: equal for every valid notification, an error for what is none."""

import struct
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.opcua.decoding import (
    HEARTBEAT,
    MalformedError,
    decode,
    history,
    publication,
    republished,
    rows_of,
)
from ingest.readings import NO_TIME, NULL, NUMBER, REJECTED, TEXT, to_us
from tests.unit.ingest.notifications import (
    ELEMENTS,
    NOW,
    TICKS,
    WAITING,
    Item,
    V,
    generic,
    notifications,
    response,
    rows_seen,
    seen,
    variant,
    without_picoseconds,
)


@settings(max_examples=150)
@given(notifications)
@example([Item(1, b"\x0a\x01\x00\xa0\x7f")])  # a signalling NaN
@example([Item(1, b"\x01\x02")])  # a true that isn't 1
@example([Item(1, None)] * 20)
def test_what_is_valid_reads_as_the_generic_decoder_reads_it(given_items: list[Item]) -> None:
    wanted = generic(response(without_picoseconds(given_items)))
    assert seen(decode(Buffer(response(given_items)), NOW, NOW)) == seen(wanted)


@settings(max_examples=60)
@given(notifications)
def test_elements_of_arrays_read_as_the_generic_decoder_reads_them(given_items: list[Item]) -> None:
    wanted = generic(response(without_picoseconds(given_items)), ELEMENTS)
    assert seen(decode(response(given_items), NOW, NOW, ELEMENTS)) == seen(wanted)


@settings(max_examples=60)
@given(notifications, st.data())
def test_what_breaks_off_is_refused(given_items: list[Item], data: st.DataObject) -> None:
    encoded = response(given_items)
    length = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(MalformedError):
        decode(encoded[:length], NOW, NOW)


@settings(max_examples=150)
@given(notifications, st.data())
def test_what_is_garbled_is_refused_or_reads_the_same(given_items: list[Item], data: st.DataObject) -> None:
    encoded = bytearray(response(without_picoseconds(given_items)))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        published = decode(bytes(encoded), NOW, NOW)
    except (MalformedError, ua.UaStatusCodeError):
        return
    try:
        wanted = generic(bytes(encoded))
    except Exception:
        return  # a type that the generic decoder stumbles over, which is a rejected row here
    assert seen(published) == seen(wanted) or _has_picoseconds(bytes(encoded))


def _has_picoseconds(encoded: bytes) -> bool:
    """Whether the generic decoder sees picoseconds: what it takes for times then aren't."""
    message = struct_from_binary(ua.PublishResponse, Buffer(encoded)).Parameters.NotificationMessage
    return any(
        item.Value.SourcePicoseconds is not None or item.Value.ServerPicoseconds is not None
        for notification in message.NotificationData
        for item in getattr(notification, "MonitoredItems", [])
    )


@settings(max_examples=60)
@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(noise, NOW, NOW)


@pytest.mark.parametrize(
    "value",
    [
        b"\x80\xff\xff\xff\x7f",  # two thousand million nulls
        b"\x98\x01\x00\x00\x00\x80\xff\xff\xff\x7f",  # the same inside
        b"\x8b\xff\xff\xff\x7f",
        b"\x8b\xfe\xff\xff\xff",
        b"\x0c\xfe\xff\xff\xff",
        b"\x4b" + bytes(12),  # dimensions without an array
        b"\xcb\x01\0\0\0" + bytes(8) + b"\x02\0\0\0\x02\0\0\0\x02\0\0\0",  # 2 × 2 of one
        b"\x20\0\0\0\0",  # no such type
        b"\x18" * 5000 + b"\x00",  # nested without end
        b"\x11\x09\0\0",  # a NodeId of no known form
        b"\x16\x00\x00\x03",  # an ExtensionObject of no known form
        b"\x17\x40",  # a DataValue with a field that isn't one
    ],
)
def test_a_value_that_is_none_is_refused_at_once(value: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(response([Item(1, value, 0, TICKS)]), NOW, NOW)


def test_a_structure_is_rejected_and_stops_no_other() -> None:
    """Its content may be anything: the library, asked to read this one, would build two thousand million nulls."""
    literal = struct.pack("<BBHBi", 1, 0, 597, 1, 5) + b"\x80\xff\xff\xff\x7f"
    published = decode(response([Item(1, b"\x16" + literal), Item(2, variant(1.5, V.Double))]), NOW, NOW)
    assert published.readings.rows["kind"].tolist() == [REJECTED, NUMBER]
    assert (published.readings.text(published.readings.rows[0]) or "").startswith("unsupported type: ExtensionObject")


def test_picoseconds_stand_where_the_standard_has_them() -> None:
    item = Item(1, variant(1.5, V.Double), 0x480, TICKS, 1234, TICKS + 10, 4321)
    row = decode(response([item]), NOW, NOW).readings.rows[0]
    assert (row["source_ts"], row["server_ts"], row["status"]) == (to_us(NOW), to_us(NOW) + 1, 0x480)


def test_what_is_not_finite_is_kept_and_bad() -> None:
    given_items = [
        Item(1, variant(value, V.Double), status)
        for value, status in ((float("nan"), 0), (float("inf"), 0x480), (float("-inf"), 0x8034_0000), (1.0, 0x480))
    ]
    rows = decode(response(given_items), NOW, NOW).readings.rows
    assert rows["status"].tolist() == [0x8000_0000, 0x8000_0480, 0x8034_0000, 0x480]
    assert np.isnan(rows["value"][0])
    assert rows["value"][1:].tolist() == [float("inf"), float("-inf"), 1.0]


def test_a_number_beyond_the_exact_ones_is_the_nearest() -> None:
    given_items = [Item(1, variant(2**63 + 2**11 + 1, V.UInt64)), Item(2, variant(-(2**53) - 1, V.Int64))]
    rows = decode(response(given_items), NOW, NOW).readings.rows
    assert rows["value"].tolist() == [float(2**63 + 2**11 + 1), float(-(2**53) - 1)]


def test_a_missing_array_is_missing_for_each_of_its_elements() -> None:
    published = decode(
        response([Item(7, None, 0x8034_0000, TICKS), Item(8, variant([1.0], V.Float, is_array=True))]),
        NOW,
        NOW,
        ELEMENTS,
    )
    rows = published.readings.rows
    assert rows["tag_id"].tolist() == [70, 73, 81]
    assert rows["kind"].tolist() == [NULL, NULL, REJECTED]
    assert rows["status"].tolist() == [0x8034_0000, 0x8034_0000, 0]
    assert (published.readings.text(rows[2]) or "").startswith("no element 1 in an array of 1")


def test_the_clock_of_the_server_is_no_reading() -> None:
    clock = variant(NOW, V.DateTime)
    published = decode(response([Item(HEARTBEAT, clock, 0, TICKS, None, TICKS), Item(1, clock)]), NOW, NOW)
    assert published.server_clock == NOW
    assert published.readings.rows["tag_id"].tolist() == [1]
    assert published.readings.rows["kind"].tolist() == [TEXT]


def test_a_missing_time_is_the_servers_or_that_of_receipt() -> None:
    value = variant(True, V.Boolean)
    waiting = Item(3, None, WAITING, None, None, TICKS)
    rows = decode(
        response([Item(1, value, None, None, None, TICKS - 50), Item(2, value), waiting]), NOW, NOW
    ).readings.rows
    assert rows["tag_id"].tolist() == [1, 2]
    assert rows["source_ts"].tolist() == [to_us(NOW) - 5, to_us(NOW)]
    assert rows["server_ts"].tolist() == [to_us(NOW) - 5, NO_TIME]


@pytest.mark.parametrize(
    ("ticks", "wanted"),
    [
        (TICKS + 17, to_us(NOW) + 1),
        (0, None),
        (-5, None),
        (2**63 - 1, to_us(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))),
    ],
)
def test_a_notification_says_when_it_was_sent(ticks: int, wanted: int | None) -> None:
    publish = ua.PublishResponse()
    publish.Parameters.NotificationMessage.PublishTime = NOW
    encoded = struct_to_binary(publish).replace(struct.pack("<q", TICKS), struct.pack("<q", ticks))
    assert decode(encoded, NOW, NOW).sent_us == wanted


def test_other_notifications_are_told_from_values() -> None:
    publish = ua.PublishResponse()
    publish.Parameters.SubscriptionId = 7
    event = ua.ExtensionObject(
        TypeId=ua.FourByteNodeId(ua.ObjectIds.EventNotificationList_Encoding_DefaultBinary), Body=b"\0\0\0\0"
    )
    status = ua.StatusChangeNotification(Status=ua.StatusCode(0x800A_0000))
    publish.Parameters.NotificationMessage.NotificationData = [event, status, ua.DataChangeNotification()]
    published = decode(struct_to_binary(publish), NOW, NOW)
    assert published.status_change == ua.StatusCode(0x800A_0000)
    assert len(published.readings) == 0
    publish.Parameters.NotificationMessage.NotificationData = None
    assert not decode(struct_to_binary(publish), NOW, NOW).has_data


def test_a_fault_is_the_servers_own_error() -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadNoSubscription)
    with pytest.raises(ua.uaerrors.BadNoSubscription):
        decode(struct_to_binary(fault), NOW, NOW)
    with pytest.raises(MalformedError, match="response of type"):
        decode(struct_to_binary(ua.ReadResponse()), NOW, NOW)


def test_what_a_server_says_beside_is_passed_over() -> None:
    publish = struct_from_binary(ua.PublishResponse, Buffer(response([Item(1, variant(1.5, V.Double))])))
    publish.ResponseHeader.StringTable = ["a", "b"]
    publish.ResponseHeader.ServiceDiagnostics = ua.DiagnosticInfo(
        SymbolicId=1, AdditionalInfo="x", InnerStatusCode=ua.StatusCode(1)
    )
    publish.Parameters.DiagnosticInfos = [publish.ResponseHeader.ServiceDiagnostics]
    changes = publish.Parameters.NotificationMessage.NotificationData[0]
    changes.DiagnosticInfos = [publish.ResponseHeader.ServiceDiagnostics]
    assert decode(struct_to_binary(publish), NOW, NOW).readings.rows["value"].tolist() == [1.5]


def test_a_diagnostic_within_a_diagnostic_is_passed_over() -> None:
    """The library writes it, and reads it, as another structure than the standard's."""
    encoded = response([Item(1, variant(1.5, V.Double))])
    nested = b"\x40\x51" + struct.pack("<ii", 1, 1) + b"x" + b"\x20\0\0\0\0"
    assert encoded.endswith(b"\x01\0\0\0" + bytes(4) + b"\0\0\0\0")
    published = decode(encoded[:-4] + struct.pack("<i", 1) + nested, NOW, NOW)
    assert published.readings.rows["value"].tolist() == [1.5]
    assert decode(encoded[:20] + nested + encoded[21:], NOW, NOW).readings.rows["value"].tolist() == [1.5]


def test_a_republished_message_reads_the_same() -> None:
    message = struct_from_binary(
        ua.PublishResponse,
        Buffer(response([Item(1, variant(uuid.UUID(int=3), V.Guid)), Item(2, variant(2.5, V.Double))])),
    ).Parameters.NotificationMessage
    again = ua.RepublishResponse()
    again.NotificationMessage = message
    published = republished(struct_to_binary(again), 9, NOW, NOW)
    assert seen(published) == seen(publication(9, message, NOW, NOW))


def past(given_items: list[Item]) -> bytes:
    """A HistoryReadResponse about three nodes: the items' values, nothing, and one that is unknown."""
    response = ua.HistoryReadResponse()
    response.Results = [
        ua.HistoryReadResult(HistoryData=ua.HistoryData(), ContinuationPoint=b"more"),
        ua.HistoryReadResult(StatusCode=ua.StatusCode(ua.StatusCodes.GoodNoData), HistoryData=ua.HistoryData()),
        ua.HistoryReadResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown)),
    ]
    encoded = struct_to_binary(response)
    empty = struct.pack("<i", 4) + bytes(4)
    assert encoded.count(empty) >= 2
    body = struct.pack("<i", len(given_items)) + b"".join(bytes(item)[4:] for item in given_items)
    return encoded.replace(empty, struct.pack("<i", len(body)) + body, 1)


@settings(max_examples=60)
@given(notifications, st.sampled_from([5, 7]))
@example([Item(1, None)], 5)
@example([Item(1, b"\x0c\x01\0\0\0a")], 5)
def test_history_reads_as_the_generic_decoder_reads_it(given_items: list[Item], handle: int) -> None:
    generic_result = struct_from_binary(ua.HistoryReadResponse, Buffer(past(without_picoseconds(given_items)))).Results[
        0
    ]
    values = generic_result.HistoryData.DataValues
    announced = [v.StatusCode.value == WAITING and v.SourceTimestamp is None for v in values]
    kept = [
        ua.MonitoredItemNotification(handle, v) for v, not_yet in zip(values, announced, strict=True) if not not_yet
    ]
    found = history(past(given_items), [handle, 8, 9], NOW, NOW, ELEMENTS)
    assert rows_seen(found[0].readings) == rows_seen(rows_of(kept, NOW, NOW, ELEMENTS))
    assert {each.readings.origin for each in found} == {"history"}
    assert [len(each.readings) for each in found[1:]] == [0, 0]
    assert [each.continuation_point for each in found] == [b"more", None, None]
    assert [each.status.value for each in found] == [0, ua.StatusCodes.GoodNoData, ua.StatusCodes.BadNodeIdUnknown]


@settings(max_examples=60)
@given(notifications, st.data())
def test_history_that_breaks_off_or_answers_something_else_is_refused(
    given_items: list[Item], data: st.DataObject
) -> None:
    encoded = past(given_items)
    with pytest.raises(MalformedError):
        history(encoded[: data.draw(st.integers(0, len(encoded) - 1))], [5, 8, 9], NOW, NOW)
    with pytest.raises(MalformedError, match="history of 3 nodes"):
        history(encoded, [5], NOW, NOW)
