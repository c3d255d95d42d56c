"""Notifications drawn at random, encoded field by field as part 6 of the standard has them: asyncua misplaces
picoseconds. And what its generic decoder makes of them."""

import struct
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary, variant_to_binary
from hypothesis import strategies as st

from ingest.opcua.decoding import Publication, publication
from ingest.readings import REJECTED, Readings

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TICKS = ua.datetime_to_win_epoch(NOW)
WAITING = 0x8032_0000
ELEMENTS = {7: [(0, 70), (3, 73)], 8: [(1, 81)]}


@dataclass(frozen=True)
class Item:
    """A monitored item as it is sent; None for a field that isn't."""

    handle: int
    value: bytes | None
    status: int | None = None
    source: int | None = None
    source_pico: int | None = None
    server: int | None = None
    server_pico: int | None = None

    def __bytes__(self) -> bytes:
        fields = (
            (1, "", self.value), (2, "<I", self.status), (4, "<q", self.source), (16, "<H", self.source_pico),
            (8, "<q", self.server), (32, "<H", self.server_pico),
        )  # fmt: skip
        mask = sum(bit for bit, _, value in fields if value is not None)
        tail = [struct.pack(form, value) for _, form, value in fields[1:] if value is not None]
        return struct.pack("<IB", self.handle, mask) + (self.value or b"") + b"".join(tail)


def response(items: list[Item]) -> bytes:
    """A PublishResponse with one DataChangeNotification."""
    publish = ua.PublishResponse()
    publish.Parameters.SubscriptionId = 7
    publish.Parameters.AvailableSequenceNumbers = [1, 2]
    publish.Parameters.Results = [ua.StatusCode(0)]
    publish.Parameters.NotificationMessage.SequenceNumber = 3
    publish.Parameters.NotificationMessage.NotificationData = [ua.DataChangeNotification()]
    encoded = struct_to_binary(publish)
    empty = struct_to_binary(ua.DataChangeNotification())
    marker = struct.pack("<i", len(empty)) + empty
    assert encoded.count(marker) == 1
    body = struct.pack("<i", len(items)) + b"".join(map(bytes, items)) + b"\xff\xff\xff\xff"
    return encoded.replace(marker, struct.pack("<i", len(body)) + body)


def generic(encoded: bytes, elements: Any = None) -> Publication:
    """What asyncua makes of it."""
    parameters = struct_from_binary(ua.PublishResponse, Buffer(encoded)).Parameters
    return publication(parameters.SubscriptionId, parameters.NotificationMessage, NOW, NOW, elements)


def seen(published: Publication) -> list[Any]:
    """A publication as a list that can be compared; the wording of a rejection is the decoder's own."""
    told = [published.subscription_id, published.sequence_number, published.has_data, published.server_clock]
    return [*told, *rows_seen(published.readings)]


def rows_seen(readings: Readings) -> list[Any]:
    """Rows as a list that can be compared."""
    told: list[Any] = []
    for row in readings.rows:
        value, text = repr(float(row["value"])), readings.text(row)
        if row["kind"] == REJECTED:
            assert text is not None
            assert text.startswith(("unsupported type: ", "no element "))
            value = text = None
        told.append([int(row[name]) for name in ("tag_id", "status", "source_ts", "server_ts", "kind")] + [value, text])
    return told


def variant(value: Any, kind: ua.VariantType, **more: Any) -> bytes:
    return variant_to_binary(ua.Variant(value, kind, **more))


V = ua.VariantType
texts = st.binary(max_size=6).map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.sampled_from(["a\x00b", ""])
moments = st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 31)).map(lambda m: m.replace(tzinfo=UTC))  # noqa: DTZ001
node_ids = st.integers(0, 2**32 - 1).map(ua.NodeId) | texts.map(lambda text: ua.NodeId(text, 2))
scalars: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    V.Boolean: st.booleans(),
    V.SByte: st.integers(-(2**7), 2**7 - 1),
    V.Byte: st.integers(0, 2**8 - 1),
    V.Int16: st.integers(-(2**15), 2**15 - 1),
    V.UInt16: st.integers(0, 2**16 - 1),
    V.Int32: st.integers(-(2**31), 2**31 - 1),
    V.UInt32: st.integers(0, 2**32 - 1),
    V.Int64: st.integers(-(2**63), 2**63 - 1),
    V.UInt64: st.integers(0, 2**64 - 1),
    V.Float: st.floats(width=32),
    V.Double: st.floats(),
    V.String: st.none() | texts,
    V.DateTime: moments,
    V.Guid: st.uuids(),
    V.ByteString: st.none() | st.binary(max_size=5),
    V.NodeId: node_ids,
    V.StatusCode: st.integers(0, 2**32 - 1).map(ua.StatusCode),
    V.QualifiedName: texts.map(lambda text: ua.QualifiedName(text, 1)),
    V.LocalizedText: st.builds(ua.LocalizedText, st.none() | texts, st.none() | texts),
    V.ExtensionObject: st.builds(ua.Range, st.floats(), st.floats()),
    V.DataValue: st.builds(lambda v: ua.DataValue(ua.Variant(v, V.Double)), st.floats()),
}


@st.composite
def variants(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(list(scalars)))
    form = draw(st.sampled_from(["scalar"] * 6 + ["array", "null array", "matrix", "null", "variants"]))
    if form == "null":
        return b"\x00"
    if form == "null array":
        return bytes([kind.value | 0x80]) + b"\xff\xff\xff\xff"
    if form == "variants":
        inner = [ua.Variant(value, V.Double) for value in draw(st.lists(st.floats(), max_size=3))]
        return variant(inner, V.Variant, is_array=True)
    if form == "matrix":
        rows = draw(st.lists(st.lists(st.floats(), min_size=2, max_size=2), min_size=1, max_size=3))
        return variant(rows, V.Double, Dimensions=[len(rows), 2], is_array=True)
    if form == "array":
        return variant(draw(st.lists(scalars[kind], max_size=5)), kind, is_array=True)
    return variant(draw(scalars[kind]), kind)


ticks = (
    st.integers(-(2**63), 2**63 - 1) | st.integers(TICKS - 10**12, TICKS + 10**12) | st.sampled_from([0, -1, 2**63 - 1])
)
items = st.builds(
    Item,
    st.sampled_from([1, 2, 7, 8, 2**31 - 1, 2**31, 2**32 - 2]) | st.integers(0, 2**32 - 2),
    st.none() | variants(),
    st.none() | st.sampled_from([0, 0x480, WAITING, 0x4000_0000]) | st.integers(0, 2**32 - 1),
    st.none() | ticks,
    st.none() | st.integers(0, 9999),
    st.none() | ticks,
    st.none() | st.integers(0, 9999),
)
# Runs of one layout, broken by others.
notifications = st.lists(st.tuples(items, st.integers(1, 1) | st.integers(1, 40)), max_size=12).map(
    lambda groups: [
        replace(item, handle=(item.handle + n) % (2**32 - 1)) for item, times in groups for n in range(times)
    ]
)


def without_picoseconds(given_items: list[Item]) -> list[Item]:
    return [replace(item, source_pico=None, server_pico=None) for item in given_items]
