"""Every type of value from a server into its table: kept, marked bad, or rejected with its name; none stops another."""

import math
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
from asyncua import ua

from tests.integration.ingest.test_ingest_collector import Field, collecting, eventually, field, here, plant_of
from warehouse.settings import Settings

__all__ = ["field", "here"]  # fixtures

V = ua.VariantType
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# name → type, value as it is written, data type in plant.yml, what it reads: number, text
READ: dict[str, tuple[V, Any, str, float | None, str | None]] = {
    "SByte": (V.SByte, -128, "integer", -128.0, None),
    "Byte": (V.Byte, 255, "integer", 255.0, None),
    "Int16": (V.Int16, -32768, "integer", -32768.0, None),
    "UInt16": (V.UInt16, 65535, "integer", 65535.0, None),
    "Int32": (V.Int32, -(2**31), "integer", float(-(2**31)), None),
    "UInt32": (V.UInt32, 2**32 - 1, "integer", float(2**32 - 1), None),
    "Int64": (V.Int64, 2**53 + 1, "integer", float(2**53), None),
    "UInt64": (V.UInt64, 2**64 - 1, "integer", float(2**64), None),
    "Float": (V.Float, 0.5, "double", 0.5, None),
    "Boolean": (V.Boolean, True, "boolean", 1.0, None),
    "Enum": (V.Int32, ua.ServerState.Suspended, "integer", 3.0, None),
    "NaN": (V.Double, math.nan, "double", math.nan, None),
    "Inf": (V.Double, -math.inf, "double", -math.inf, None),
    "String": (V.String, "RUN\x00 \udcff", "string", None, "RUN\ufffd \ufffd"),
    "Localized": (V.LocalizedText, ua.LocalizedText("Betrieb", "de"), "string", None, "Betrieb"),
    "DateTime": (V.DateTime, MOMENT, "datetime", None, MOMENT.isoformat()),
}
REFUSED: dict[str, tuple[V, Any, str]] = {
    "Guid": (V.Guid, uuid.UUID(int=5), "UUID"),
    "Bytes": (V.ByteString, b"\x01\x02", "bytes"),
    "Structure": (V.ExtensionObject, ua.Range(1.0, 2.0), "ExtensionObject"),
    "Matrix": (V.Double, [[1.0, 2.0], [3.0, 4.0]], "array of 2"),
}


def tag(name: str, data_type: str) -> dict[str, Any]:
    return {
        "node": f"nsu=urn:millwright:test;s={name}",
        "measurement": name.lower(),
        "role": "state",
        "data_type": data_type,
        "sampling_interval_ms": 10,
    }


async def test_every_type_lands_as_what_it_is_or_says_what_it_is(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    for name, (kind, value, *_) in {**READ, **REFUSED}.items():
        node_id = ua.NodeId(name, field.index)
        dimensions = [2, 2] if name == "Matrix" else None
        variant = ua.Variant(value, kind, dimensions, is_array=dimensions is not None)
        field.nodes[name] = await field.server.nodes.objects.add_variable(node_id, name, variant)
    tags = [tag(name, each[2]) for name, each in READ.items()] + [tag(name, "string") for name in REFUSED]
    reasons = {f"unsupported type: {name}" for _, _, name in REFUSED.values()}
    async with collecting(here, plant_of(field, *tags)):
        await eventually(lambda: {row[0] for row in admin.execute("SELECT reason FROM raw.rejected_events")}, reasons)
        await field.write("T", 21.0, datetime.now(UTC))
        query = (
            "SELECT t.node_id, l.value, l.value_text, l.status FROM raw.tag_latest AS l"
            " JOIN raw.tags AS t USING (tag_id) WHERE t.role = 'state'"
        )
        await eventually(lambda: len(admin.execute(query).fetchall()), len(READ))
        await eventually(
            lambda: admin.execute("SELECT count(*) FROM raw.sensor_events WHERE value = 21").fetchone(), (1,)
        )
    found = {node.rpartition("=")[2]: tuple(rest) for node, *rest in admin.execute(query)}
    for name, (_, _, _, number, text) in READ.items():
        value, value_text, status = found[name]
        assert repr(value) == repr(number), name
        assert value_text == text, name
        assert status == (0x8000_0000 if name in ("NaN", "Inf") else 0), name
