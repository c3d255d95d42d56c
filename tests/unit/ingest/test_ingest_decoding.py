"""Notifications and node ids as rows: status bits, timestamps and odd types are kept or refused, never guessed."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary

from ingest.opcua.decoding import HEARTBEAT, decode
from ingest.opcua.nodes import NamespaceMissingError, resolve
from ingest.opcua.variants import convert
from ingest.readings import NO_TIME, NULL, NUMBER, REJECTED, TEXT, to_us

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def response(*items: tuple[int, ua.DataValue]) -> Buffer:
    notification = ua.DataChangeNotification()
    notification.MonitoredItems = [ua.MonitoredItemNotification(handle, value) for handle, value in items]
    publish = ua.PublishResponse()
    publish.Parameters.SubscriptionId = 7
    publish.Parameters.NotificationMessage.SequenceNumber = 3
    publish.Parameters.NotificationMessage.NotificationData = [notification]
    return Buffer(struct_to_binary(publish))


def test_a_notification_becomes_rows() -> None:
    values = (
        (1, ua.DataValue(ua.Variant(1.5, ua.VariantType.Double), ua.StatusCode(0x480), NOW, NOW)),
        (2, ua.DataValue(ua.Variant("RUNNING"), ua.StatusCode(0x40000000), NOW)),
        (3, ua.DataValue(ua.Variant(None), ua.StatusCode(0x80340000))),
        (HEARTBEAT, ua.DataValue(ua.Variant(NOW, ua.VariantType.DateTime))),
    )
    published = decode(response(*values), NOW, NOW)
    rows = published.readings.rows
    assert (published.subscription_id, published.sequence_number, published.has_data) == (7, 3, True)
    assert published.server_clock == NOW
    assert rows["tag_id"].tolist() == [1, 2, 3]
    assert rows["status"].tolist() == [0x480, 0x40000000, 0x80340000]
    assert rows["kind"].tolist() == [NUMBER, TEXT, NULL]
    assert rows["source_ts"].tolist() == [to_us(NOW)] * 3  # the last has none: when it was received
    assert rows["server_ts"].tolist() == [to_us(NOW), NO_TIME, NO_TIME]
    assert published.readings.text(rows[1]) == "RUNNING"


def test_a_value_that_is_yet_to_come_is_no_reading() -> None:
    waiting = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)
    announced = (1, ua.DataValue(ua.Variant(None), waiting, None, NOW))
    timed = (2, ua.DataValue(ua.Variant(None), waiting, NOW, NOW))
    published = decode(response(announced, timed), NOW, NOW)
    assert published.has_data  # acknowledged all the same
    assert published.readings.rows["tag_id"].tolist() == [2]


@pytest.mark.parametrize(
    ("value", "kind", "number", "text"),
    [
        (True, NUMBER, 1.0, None),
        (2**53, NUMBER, float(2**53), None),
        (float("-inf"), NUMBER, float("-inf"), None),
        (NOW, TEXT, 0.0, "2026-01-02T03:04:05+00:00"),
        (ua.LocalizedText("Betrieb"), TEXT, 0.0, "Betrieb"),
        (None, NULL, 0.0, None),
    ],
)
def test_a_value_is_converted(value: Any, kind: int, number: float, text: str | None) -> None:
    assert convert(value) == (kind, number, text)


@pytest.mark.parametrize(
    ("value", "reason"), [([1.0, 2.0], "array of 2"), (b"\x01", "bytes"), (ua.NodeId(1), "NodeId")]
)
def test_a_type_that_is_no_reading_is_refused_with_its_name(value: Any, reason: str) -> None:
    kind, _, text = convert(value)
    assert kind == REJECTED
    assert text is not None
    assert text.startswith(f"unsupported type: {reason}")


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        ("nsu=urn:b;s=a;b/c d=e", ua.NodeId("a;b/c d=e", 2)),
        ("nsu=urn:a;i=5", ua.NodeId(5, 1)),
        ("i=2258", ua.NodeId(2258, 0)),
        (f"nsu=urn:a;g={uuid.UUID(int=5)}", ua.NodeId(uuid.UUID(int=5), 1)),
        ("nsu=urn:a;b=AQI=", ua.NodeId(b"\x01\x02", 1, ua.NodeIdType.ByteString)),
    ],
)
def test_a_node_is_resolved_by_its_namespace(node: str, wanted: ua.NodeId) -> None:
    assert resolve(node, ["http://opcfoundation.org/UA/", "urn:a", "urn:b"]) == wanted


def test_an_unknown_namespace_is_named() -> None:
    with pytest.raises(NamespaceMissingError, match="urn:z"):
        resolve("nsu=urn:z;s=a", ["urn:a"])
