"""An OPC UA server that holds the nodes of a plant file: values go straight into its address space."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService

from ingest.plant import Plant, Tag
from simulator.errors import SimulatorError

_TYPES = {
    "double": ua.VariantType.Double,
    "integer": ua.VariantType.Int64,
    "boolean": ua.VariantType.Boolean,
    "string": ua.VariantType.String,
    "datetime": ua.VariantType.DateTime,
}
_WAITING = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)


class Writable(AttributeService):  # type: ignore[misc]  # asyncua has no type marker
    """Takes writes of set points: refuses what is no number in range, stamps what comes without a source time."""

    def __init__(self, aspace: Any, written: Callable[[ua.NodeId, float], None]) -> None:
        super().__init__(aspace)
        self.highest: dict[ua.NodeId, float] = {}
        self._written = written

    async def write(self, params: ua.WriteParameters, user: User = User(role=UserRole.Admin)) -> list[ua.StatusCode]:  # noqa: B008 - the signature of the class it stands in for
        results: list[ua.StatusCode] = []
        for item in params.NodesToWrite:
            highest = self.highest.get(item.NodeId) if item.AttributeId == ua.AttributeIds.Value else None
            if highest is None:
                results += await super().write(ua.WriteParameters([item]), user)
                continue
            asked = item.Value.Value.Value if item.Value.Value is not None else None
            if isinstance(asked, float) and not (math.isfinite(asked) and 0 <= asked <= highest):
                results.append(ua.StatusCode(ua.StatusCodes.BadOutOfRange))
                continue
            if item.Value.SourceTimestamp is None:
                item.Value = dataclasses.replace(item.Value, SourceTimestamp=datetime.now(UTC))
            results += await super().write(ua.WriteParameters([item]), user)
            if results[-1].is_good() and isinstance(asked, float):
                self._written(item.NodeId, asked)
        return results


class Endpoint:
    """A running server with a variable for every tag. Made by `endpoint`."""

    def __init__(self, server: Server, written: Callable[[ua.NodeId, float], None]) -> None:
        self.server = server
        self.writable = Writable(server.iserver.aspace, written)
        server.iserver.attribute_service = self.writable
        self._aspace = server.iserver.aspace
        self._types: dict[ua.NodeId, ua.VariantType] = {}

    async def add_plant(self, plant: Plant) -> dict[str, ua.NodeId]:
        """An object a machine and a variable a tag under Objects; returns the node id of each `Tag.node`."""
        found: dict[str, ua.NodeId] = {}
        for equipment_id, equipment in plant.equipment.items():
            nodes = [await self.node_id(tag.node) for tag in equipment.tags]
            machine = await self.server.nodes.objects.add_object(
                ua.NodeId(f"Equipment.{equipment_id}", nodes[0].NamespaceIndex),
                ua.QualifiedName(equipment_id, nodes[0].NamespaceIndex),
            )
            for tag, node_id in zip(equipment.tags, nodes, strict=True):
                await self.add_variable(machine, node_id, tag)
                found[tag.node] = node_id
        return found

    async def add_variable(self, parent: Any, node_id: ua.NodeId, tag: Tag) -> None:
        name = ".".join(part for part in (tag.measurement, tag.position) if part)
        kind = _TYPES[tag.data_type]
        node = await parent.add_variable(
            node_id,
            ua.QualifiedName(name, node_id.NamespaceIndex),
            None,
            varianttype=ua.VariantType.Null,
            datatype=ua.NodeId(kind.value),
        )
        await node.write_attribute(
            ua.AttributeIds.Value, ua.DataValue(ua.Variant(None, ua.VariantType.Null), StatusCode=_WAITING)
        )
        if tag.unit:
            unit = ua.EUInformation(DisplayName=ua.LocalizedText(tag.unit))
            await node.add_property(node_id.NamespaceIndex, "EngineeringUnits", unit)
        if tag.role == "set_point":
            await node.set_writable()
        self._types[node_id] = kind

    async def node_id(self, text: str) -> ua.NodeId:
        """`nsu=<uri>;s=<id>` in this server's own namespace index; raises SimulatorError."""
        head, _, rest = text.partition(";")
        try:
            index = await self.server.register_namespace(head.removeprefix("nsu=")) if head.startswith("nsu=") else None
            return ua.NodeId.from_string(f"ns={index};{rest}" if index is not None else text)
        except (ua.UaError, ValueError) as error:
            raise SimulatorError(f"node must be nsu=<namespace uri>;s=<identifier>. Got: {text!r}") from error

    async def put(self, node_id: ua.NodeId, value: Any, source_ts: datetime, server_ts: datetime) -> None:
        """Give a variable a good value; every call is a sample of its own to whoever subscribed."""
        await self._aspace.write_attribute_value(
            node_id,
            ua.AttributeIds.Value,
            ua.DataValue(ua.Variant(value, self._types[node_id]), ua.StatusCode(), source_ts, server_ts),
        )

    def watched(self, node_id: ua.NodeId) -> bool:
        """Whether any client subscribes to it."""
        return bool(self._aspace[node_id].attributes[ua.AttributeIds.Value].datachange_callbacks)


@asynccontextmanager
async def endpoint(
    bind: str,
    port: int,
    name: str,
    build: Callable[[Endpoint], Any],
    written: Callable[[ua.NodeId, float], None] = lambda node_id, value: None,
) -> AsyncIterator[Endpoint]:
    """A server on `bind`:`port` whose nodes are made by `await build(endpoint)` before it listens.

    Raises SimulatorError where the port is taken.
    """
    # It warns of the security policies that a demo on 127.0.0.1 leaves out, and logs what is raised as well.
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    logging.getLogger("asyncua.server.server").setLevel(logging.CRITICAL)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://{bind}:{port}")
    server.set_server_name(name)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    made = Endpoint(server, written)
    await build(made)
    try:
        await server.start()
    except OSError as error:
        await server.stop()
        raise SimulatorError(
            f"port {port} of {bind} can't be listened on ({os.strerror(error.errno or 0)}); "
            "choose another with --port or MILLWRIGHT_OPCUA_PORT"
        ) from error
    try:
        yield made
    finally:
        await server.stop()
