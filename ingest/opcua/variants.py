"""Values as OPC UA encodes them: where one ends, and what it is as a reading."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import variant_from_binary

from ingest.readings import NULL, NUMBER, REJECTED, TEXT

SEPARATOR: Final = "\x1f"
"""stands between the reason and the payload in the text of a rejected row"""
_PAYLOAD: Final = 1000

# Bytes of a value of the built-in types that always take the same (Part 6, 5.1.2); Null is a value of no bytes.
WIDTHS: Final = {0: 0, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
STRING: Final = 12
_BYTES: Final = (STRING, 15, 16, *range(26, 32))  # String, ByteString, XmlElement, and what is reserved
_NODE_ID, _EXPANDED_NODE_ID, _QUALIFIED_NAME, _LOCALIZED_TEXT, _EXTENSION_OBJECT = 17, 18, 20, 21, 22
_DATA_VALUE, _VARIANT, _DIAGNOSTIC_INFO = 23, 24, 25
_ARRAY, _DIMENSIONS = 0x80, 0x40
_NODE_ID_WIDTHS: Final = {0: 1, 1: 3, 2: 6, 4: 18}
_DEEPEST: Final = 100
_INT32: Final = struct.Struct("<i")

Converted = tuple[int, float, str | None]


class MalformedError(ValueError):
    """Bytes that are no OPC UA encoding of what they should be."""


def sized(body: bytes, at: int) -> int:
    """Where the string or byte string at `at` ends; its length stands first, -1 for null."""
    length: int = _INT32.unpack_from(body, at)[0]
    if length < -1:
        raise MalformedError(f"a length of {length}")
    return at + 4 + max(length, 0)


def variant_end(body: bytes, at: int, depth: int = 0) -> int:
    """Where the Variant at `at` ends, which may be behind the end of `body`.

    Nothing is built, however much the bytes pretend to hold. Raises MalformedError, IndexError or struct.error.
    """
    if depth > _DEEPEST:
        raise MalformedError("nested too deeply")
    encoding = body[at]
    kind = encoding & 0x3F
    if not encoding & _ARRAY:
        if encoding & _DIMENSIONS:
            raise MalformedError("dimensions without an array")
        return _value_end(body, at + 1, kind, depth)
    at, length = _array_end(body, at + 1, kind, depth)
    if encoding & _DIMENSIONS:
        (count,) = _INT32.unpack_from(body, at)
        dimensions = struct.unpack_from(f"<{max(count, 0)}i", body, at + 4)
        if length >= 0 and dimensions and (min(dimensions) < 0 or math.prod(dimensions) != length):
            raise MalformedError(f"{length} elements in dimensions {dimensions[:8]}")
        at += 4 + 4 * len(dimensions)
    return at


def _array_end(body: bytes, at: int, kind: int, depth: int) -> tuple[int, int]:
    (length,) = _INT32.unpack_from(body, at)
    at += 4
    if length < -1 or kind == 0 or length > len(body) - at:
        raise MalformedError(f"an array of {length}")
    if kind in WIDTHS:
        return at + max(length, 0) * WIDTHS[kind], length
    for _ in range(length):
        at = _value_end(body, at, kind, depth)
    return at, length


def _value_end(body: bytes, at: int, kind: int, depth: int) -> int:
    if kind in WIDTHS:
        return at + WIDTHS[kind]
    if kind in _BYTES:
        return sized(body, at)
    if kind in (_NODE_ID, _EXPANDED_NODE_ID):
        return _node_id_end(body, at)
    if kind == _QUALIFIED_NAME:
        return sized(body, at + 2)
    if kind == _LOCALIZED_TEXT:
        mask = body[at]
        at += 1
        for bit in (1, 2):
            at = sized(body, at) if mask & bit else at
        return at
    if kind == _EXTENSION_OBJECT:
        return extension_object_end(body, at)
    if kind == _DATA_VALUE:
        mask = body[at]
        at = variant_end(body, at + 1, depth + 1) if mask & 1 else at + 1
        return at + tail_width(mask)
    if kind == _VARIANT:
        return variant_end(body, at, depth + 1)
    if kind == _DIAGNOSTIC_INFO:
        return diagnostic_info_end(body, at, depth)
    raise MalformedError(f"no built-in type {kind}")


def tail_width(mask: int) -> int:
    """Bytes of what follows the value of a DataValue: status, source time and picoseconds, server's likewise."""
    if mask > 0x3F:
        raise MalformedError(f"a DataValue of encoding {mask:#04x}")
    return sum(width for bit, width in ((2, 4), (4, 8), (16, 2), (8, 8), (32, 2)) if mask & bit)


def _node_id_end(body: bytes, at: int) -> int:
    encoding = body[at]
    form = encoding & 0x3F
    if form in _NODE_ID_WIDTHS:
        at += 1 + _NODE_ID_WIDTHS[form]
    elif form in (3, 5):
        at = sized(body, at + 3)
    else:
        raise MalformedError(f"a NodeId of encoding {encoding:#04x}")
    if encoding & 0x80:
        at = sized(body, at)
    return at + 4 if encoding & 0x40 else at


def extension_object_end(body: bytes, at: int) -> int:
    """Where the ExtensionObject at `at` ends."""
    at = _node_id_end(body, at)
    if body[at] > 2:
        raise MalformedError(f"an ExtensionObject of encoding {body[at]:#04x}")
    return sized(body, at + 1) if body[at] else at + 1


def diagnostic_info_end(body: bytes, at: int, depth: int = 0) -> int:
    """Where the DiagnosticInfo at `at` ends."""
    if depth > _DEEPEST:
        raise MalformedError("nested too deeply")
    mask = body[at]
    at += 1 + 4 * (mask & 0x0F).bit_count()
    if mask & 0x10:
        at = sized(body, at)
    if mask & 0x20:
        at += 4
    return diagnostic_info_end(body, at, depth + 1) if mask & 0x40 else at


def decoded(body: bytes, at: int, end: int) -> Any:
    """The Variant between `at` and `end` as a Python value; structures, which are never a reading, stay `Opaque`."""
    kind = body[at] & 0x3F
    if body[at] & _ARRAY and body[at + 1 : at + 5] == b"\xff\xff\xff\xff":
        return None
    if kind > _LOCALIZED_TEXT:
        # The library would build whatever they pretend to hold, and one may hold two thousand million nulls.
        return Opaque(kind, body[at:end])
    try:
        return variant_from_binary(Buffer(body[at:end])).Value
    except Exception as error:
        raise MalformedError(f"a value of type {kind} that can't be read: {error!r}") from error


class Opaque:
    """A value whose extent is known and whose content isn't."""

    def __init__(self, kind: int, encoded: bytes) -> None:
        self.name = ua.VariantType(kind).name if kind <= _DIAGNOSTIC_INFO else f"reserved type {kind}"
        self._encoded = encoded

    def __str__(self) -> str:
        return self._encoded[: _PAYLOAD // 2].hex()


def convert(value: Any) -> Converted:
    """(kind, number, text) of a value; what can't be a reading is REJECTED with the reason in its text."""
    if value is None:
        return NULL, 0.0, None
    if isinstance(value, bool | int | float):
        return NUMBER, float(value), None
    if isinstance(value, str):
        return TEXT, 0.0, value
    if isinstance(value, datetime):
        return TEXT, 0.0, aware(value).isoformat()
    if isinstance(value, ua.LocalizedText):
        return TEXT, 0.0, value.Text or ""
    return rejected(f"unsupported type: {_name(value)}", value)


def convert_elements(value: Any, places: Sequence[int]) -> list[Converted]:
    """The elements of an array at `places`; a value that is missing is missing for each of them."""
    if value is None:
        return [convert(None)] * len(places)
    if not isinstance(value, list):
        return [rejected(f"unsupported type: {_name(value)} where an array is wanted", value)] * len(places)
    return [
        convert(value[place])
        if place < len(value)
        else rejected(f"no element {place} in an array of {len(value)}", value)
        for place in places
    ]


def _name(value: Any) -> str:
    if isinstance(value, list):
        return f"array of {len(value)}"
    return value.name if isinstance(value, Opaque) else type(value).__name__


def rejected(reason: str, value: Any) -> Converted:
    """A value that can't be used, with what it was."""
    shown = value[:_PAYLOAD] if isinstance(value, list) else value
    return REJECTED, math.nan, f"{reason}{SEPARATOR}{str(shown)[:_PAYLOAD]}"


def aware(moment: datetime) -> datetime:
    """The moment in UTC, which is what the protocol means where nothing is said."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
