"""A walk through a server's address space: batched, concurrent, inside its limits, and past its cycles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from asyncua import Client, ua

from ingest.errors import IngestError
from ingest.opcua.nodes import resolve, written
from ingest.opcua.server_limits import ServerLimits, batched

OBJECTS: Final = "i=85"
_AT_ONCE: Final = 4
_MOST_NODES: Final = 200_000
_HIERARCHICAL: Final = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
_HAS_PROPERTY: Final = ua.NodeId(ua.ObjectIds.HasProperty)
_FOLDER: Final = ua.NodeId(ua.ObjectIds.FolderType)
_SERVER: Final = ua.NodeId(ua.ObjectIds.Server)
_CLASSES: Final = int(ua.NodeClass.Object) | int(ua.NodeClass.Variable)
_NO_POINT_LEFT: Final = "BadNoContinuationPoints"
_UNITS: Final = "EngineeringUnits"
_STATES: Final = "EnumStrings"

_Operand = TypeVar("_Operand")
_Result = TypeVar("_Result")


@dataclass
class Node:
    """An object or variable as it was found; `path` are the objects above it, from the start of the walk."""

    node_id: ua.NodeId
    name: str
    display: str
    is_variable: bool
    is_property: bool
    is_folder: bool
    kind: ua.NodeId
    """its type definition"""
    path: tuple[Node, ...] = ()


@dataclass
class Variable:
    """A variable that may be a tag."""

    node: Node
    text: str
    """the node id as plant.yml has it"""
    data_type: str | None = None
    """name of a built-in type such as Double; None where neither the node nor its value says"""
    rank: int = -1
    """of an array 1 and more; -1 of a scalar"""
    length: int | None = None
    """of an array's value"""
    readable: bool = True
    unit: str | None = None
    state_names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """names of the type definitions of the objects above, where they are not OPC UA's own"""


@dataclass
class Browsed:
    """What a walk has found."""

    variables: list[Variable]
    nodes: int
    unreadable: list[str] = field(default_factory=list)
    """nodes that the server wouldn't browse, with the reason"""


async def browse(client: Client, start: str = OBJECTS) -> Browsed:
    """All variables below `start`, a node id as in plant.yml; without the server's own diagnostics.

    Raises IngestError where `start` is no node of the server, and what asyncua raises where the connection is lost.
    """
    return await _Walk(client, await ServerLimits.read(client), list(await client.get_namespace_array())).run(start)


class _Walk:
    """One walk, level by level: every node is visited once, by the shortest way to it."""

    def __init__(self, client: Client, limits: ServerLimits, namespaces: list[str]) -> None:
        self._session = client.uaclient.session
        self._limits = limits
        self._namespaces = namespaces
        self._seen: set[ua.NodeId] = {_SERVER}
        self._properties: dict[tuple[ua.NodeId, str], ua.NodeId] = {}
        self._refused: list[str] = []

    async def run(self, start: str) -> Browsed:
        try:
            root = resolve(start, self._namespaces)
        except (LookupError, ValueError) as error:
            raise IngestError(f"--root: {error}") from error
        level = [Node(root, "", "", False, False, True, ua.NodeId())]
        self._seen.add(root)
        found: list[Node] = []
        while level:
            below = await self._below(level)
            if len(level) == 1 and level[0].node_id == root and self._refused:
                raise IngestError(f"--root: the server can't browse {self._refused[0]}")
            found.extend(below)
            if len(found) > _MOST_NODES:
                raise IngestError(f"more than {_MOST_NODES:,} nodes; browse a part of them by --root NODE")
            level = [node for node in below if not node.is_property]
        variables = [
            Variable(node, written(node.node_id, self._namespaces))
            for node in found
            if node.is_variable and not node.is_property and node.node_id.NamespaceIndex > 0
        ]
        await self._describe(variables)
        return Browsed(variables, len(found), self._refused)

    async def _below(self, level: Sequence[Node]) -> list[Node]:
        """The nodes below those of a level that have not been seen yet."""
        answers = await self._all_below([node.node_id for node in level])
        below: list[Node] = []
        for node, (references, refusal) in zip(level, answers, strict=True):
            if refusal:
                self._refused.append(f"{written(node.node_id, self._namespaces)}: {refusal}")
            path = node.path if node.is_variable or not node.name else (*node.path, node)
            children = (self._child(reference, node, path) for reference in references)
            below.extend(child for child in children if child is not None)
        return below

    def _child(self, reference: Any, parent: Node, path: tuple[Node, ...]) -> Node | None:
        node_id = _local(reference.NodeId)
        is_property = reference.ReferenceTypeId == _HAS_PROPERTY
        if is_property:
            self._properties[parent.node_id, reference.BrowseName.Name] = node_id
        on_another_server = getattr(reference.NodeId, "ServerIndex", 0)
        if node_id in self._seen or on_another_server or node_id.NamespaceIndex >= len(self._namespaces):
            return None
        self._seen.add(node_id)
        name = reference.BrowseName.Name or ""
        return Node(
            node_id,
            name,
            reference.DisplayName.Text or name,
            reference.NodeClass == ua.NodeClass.Variable,
            is_property,
            _local(reference.TypeDefinition) == _FOLDER,
            _local(reference.TypeDefinition),
            path,
        )

    async def _all_below(self, nodes: Sequence[ua.NodeId]) -> list[tuple[list[Any], str]]:
        """The references of each node, and the server's reason where it doesn't give all of them."""
        answers = await self._gather(self._browse, nodes, self._limits.nodes_a_browse)
        # A server has few continuation points for a session: what got none is asked for again, with nothing beside it.
        for most in (min(self._limits.browse_continuation_points, self._limits.nodes_a_browse), 1):
            again = [place for place, (_, refusal) in enumerate(answers) if refusal == _NO_POINT_LEFT]
            results = await batched(self._browse, [nodes[place] for place in again], most)
            for place, answer in zip(again, results, strict=True):
                answers[place] = answer
        return answers

    async def _browse(self, nodes: Sequence[ua.NodeId]) -> list[tuple[list[Any], str]]:
        results = await self._first(nodes)
        answers = [(list(r.References or []), "" if r.StatusCode.is_good() else r.StatusCode.name) for r in results]
        points = {place: r.ContinuationPoint for place, r in enumerate(results) if r.ContinuationPoint}
        while points:
            following = await batched(self._next, list(points.values()), self._limits.nodes_a_browse)
            for place, result in zip(list(points), following, strict=True):
                answers[place][0].extend(result.References or [])
                points[place] = result.ContinuationPoint
                if not result.StatusCode.is_good():
                    answers[place] = answers[place][0], f"only a part of it: {result.StatusCode.name}"
                    points[place] = None
            points = {place: point for place, point in points.items() if point}
        return answers

    async def _first(self, nodes: Sequence[ua.NodeId]) -> list[Any]:
        parameters = ua.BrowseParameters()
        parameters.RequestedMaxReferencesPerNode = 0
        for node_id in nodes:
            wanted = ua.BrowseDescription()
            wanted.NodeId = node_id
            wanted.BrowseDirection = ua.BrowseDirection.Forward
            wanted.ReferenceTypeId = _HIERARCHICAL
            wanted.IncludeSubtypes = True
            wanted.NodeClassMask = _CLASSES
            wanted.ResultMask = ua.BrowseResultMask.All
            parameters.NodesToBrowse.append(wanted)
        return list(await self._session.browse(parameters))

    async def _next(self, points: Sequence[bytes]) -> list[Any]:
        parameters = ua.BrowseNextParameters()
        parameters.ReleaseContinuationPoints = False
        parameters.ContinuationPoints = list(points)
        return list(await self._session.browse_next(parameters))

    async def _describe(self, variables: Sequence[Variable]) -> None:
        """Read what the nodes say of themselves: type, shape, access, unit, names of states."""
        nodes = [variable.node.node_id for variable in variables]
        kinds = list({above.kind for v in variables for above in v.node.path if above.kind.NamespaceIndex > 0})
        wanted = [
            *((node_id, ua.AttributeIds.DataType) for node_id in nodes),
            *((node_id, ua.AttributeIds.ValueRank) for node_id in nodes),
            *((node_id, ua.AttributeIds.UserAccessLevel) for node_id in nodes),
            *((node_id, ua.AttributeIds.Value) for node_id in nodes),
            *((kind, ua.AttributeIds.BrowseName) for kind in kinds),
        ]
        properties = [
            (variable, name, self._properties[variable.node.node_id, name])
            for variable in variables
            for name in (_UNITS, _STATES)
            if (variable.node.node_id, name) in self._properties
        ]
        wanted.extend((node_id, ua.AttributeIds.Value) for _, _, node_id in properties)
        values = iter(await self._gather(self._read, wanted, self._limits.nodes_a_read))
        types, ranks, access, current = ([next(values) for _ in nodes] for _ in range(4))
        named = {kind: name.Name for kind in kinds if (name := next(values)[0]) is not None}
        for variable, (kind, _), (rank, _), (level, _), (value, built_in) in zip(
            variables, types, ranks, access, current, strict=True
        ):
            variable.data_type = built_in or _built_in(kind)
            variable.rank = 1 if isinstance(value, list) else rank if isinstance(rank, int) else -1
            variable.length = len(value) if isinstance(value, list) else None
            if isinstance(level, int):
                variable.readable = bool(level & 1 << ua.AccessLevel.CurrentRead)
            variable.kinds = tuple(named[above.kind] for above in variable.node.path if above.kind in named)
        for variable, name, _ in properties:
            value, _ = next(values)
            if name == _UNITS and isinstance(value, ua.EUInformation):
                variable.unit = value.DisplayName.Text
            elif name == _STATES and isinstance(value, list):
                variable.state_names = tuple(getattr(text, "Text", None) or "" for text in value)

    async def _read(self, wanted: Sequence[tuple[ua.NodeId, ua.AttributeIds]]) -> list[tuple[Any, str | None]]:
        """(value, name of its built-in type) of each; (None, None) of what can't be read."""
        parameters = ua.ReadParameters()
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
        for node_id, attribute in wanted:
            parameters.NodesToRead.append(ua.ReadValueId(NodeId=node_id, AttributeId=attribute))
        try:
            values = await self._session.read(parameters)
        except (ua.uaerrors.BadResponseTooLarge, ua.uaerrors.BadEncodingLimitsExceeded):
            if len(wanted) > 1:
                raise
            return [(None, None)]  # one value alone is more than a message takes: no tag
        return [_plain(value) for value in values]

    async def _gather(
        self,
        call: Callable[[Sequence[_Operand]], Awaitable[Sequence[_Result]]],
        operands: Sequence[_Operand],
        most: int,
    ) -> list[_Result]:
        """`batched`, with some calls under way at once: most of a call's time is spent on the way."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(part: Sequence[_Operand]) -> list[_Result]:
            async with gate:
                return await batched(call, part, most)

        parts = [operands[start : start + most] for start in range(0, len(operands), most)]
        return [result for part in await asyncio.gather(*(one(part) for part in parts)) for result in part]


def _local(node_id: ua.NodeId) -> ua.NodeId:
    """An expanded node id as the plain one of this server, so that the two are one key."""
    return ua.NodeId(node_id.Identifier, node_id.NamespaceIndex)


def _plain(value: Any) -> tuple[Any, str | None]:
    if value.Value is None or (value.StatusCode is not None and value.StatusCode.is_bad()):
        return None, None
    kind = value.Value.VariantType
    name = kind.name if isinstance(kind, ua.VariantType) and kind != ua.VariantType.Null else None
    return value.Value.Value, name


def _built_in(data_type: Any) -> str | None:
    """The built-in type that stands for a data type; None for those that are a server's own."""
    if not isinstance(data_type, ua.NodeId) or data_type.NamespaceIndex != 0:
        return None
    number = data_type.Identifier
    if isinstance(number, int) and 1 <= number <= 25:
        return str(ua.VariantType(number).name)
    return _SUBTYPES.get(number)


_SUBTYPES: Final = {
    ua.ObjectIds.Enumeration: "Int32",
    ua.ObjectIds.Duration: "Double",
    ua.ObjectIds.UtcTime: "DateTime",
    ua.ObjectIds.LocaleId: "String",
    ua.ObjectIds.Counter: "UInt32",
}
