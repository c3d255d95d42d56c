"""A walk through an address space stays within the server's limits and comes back from cycles."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua

from ingest.errors import IngestError
from ingest.opcua.browse import Browsed, browse

ORGANIZES, COMPONENT, PROPERTY = (ua.NodeId(n) for n in (35, 47, 46))
NAMESPACES = ["http://opcfoundation.org/UA/", "urn:plant"]
_LIMITS = {
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse: "browse_limit",
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead: "read_limit",
    ua.ObjectIds.Server_ServerCapabilities_MaxBrowseContinuationPoints: "points_limit",
}


class Space:
    """An address space with the limits of a small controller; a call beyond them is an error."""

    def __init__(self, browse_limit: int = 5, read_limit: int = 7, page: int = 3, points_limit: int = 1) -> None:
        self.browse_limit, self.read_limit, self.page, self.points_limit = browse_limit, read_limit, page, points_limit
        self.below: dict[ua.NodeId, list[tuple[ua.NodeId, ua.NodeId]]] = {}
        self.nodes: dict[ua.NodeId, tuple[str, bool, ua.NodeId]] = {}
        self.attributes: dict[tuple[ua.NodeId, int], Any] = {}
        self.points: dict[bytes, list[Any]] = {}
        self.refused: set[ua.NodeId] = set()
        self.too_big = 0
        self.names: Iterator[int] = iter(range(10**6))

    def add(self, parent: ua.NodeId, name: str, *, value: Any = None, of: ua.NodeId = COMPONENT) -> ua.NodeId:
        node_id = ua.NodeId(next(self.names) + 1000, 1)
        kind = ua.NodeId(61 if of == ORGANIZES else 58)
        self.nodes[node_id] = name, value is not None, kind
        self.below.setdefault(parent, []).append((of, node_id))
        if value is not None:
            self.attributes[node_id, ua.AttributeIds.Value] = value
            self.attributes[node_id, ua.AttributeIds.ValueRank] = -1
            self.attributes[node_id, ua.AttributeIds.UserAccessLevel] = 1
        return node_id

    async def read_attributes(self, nodes: list[ua.NodeId], attribute: Any) -> list[ua.DataValue]:
        return await self.read(SimpleNamespace(NodesToRead=[ua.ReadValueId(n, attribute) for n in nodes]))

    async def read(self, parameters: Any) -> list[ua.DataValue]:
        if len(parameters.NodesToRead) > self.read_limit:
            self.too_big += 1
            raise ua.uaerrors.BadTooManyOperations
        answers = []
        for wanted in parameters.NodesToRead:
            name = _LIMITS.get(wanted.NodeId.Identifier) if wanted.NodeId.NamespaceIndex == 0 else None
            value = getattr(self, name) if name else self.attributes.get((wanted.NodeId, wanted.AttributeId))
            answers.append(
                ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
                if value is None
                else ua.DataValue(value if isinstance(value, ua.Variant) else ua.Variant(value))
            )
        return answers

    async def browse(self, parameters: Any) -> list[ua.BrowseResult]:
        if len(parameters.NodesToBrowse) > self.browse_limit:
            self.too_big += 1
            raise ua.uaerrors.BadTooManyOperations
        return [self._result(wanted.NodeId) for wanted in parameters.NodesToBrowse]

    def _result(self, node_id: ua.NodeId) -> ua.BrowseResult:
        if node_id in self.refused:
            return ua.BrowseResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadUserAccessDenied))
        return self._page([self._reference(kind, child) for kind, child in self.below.get(node_id, [])])

    def _page(self, references: list[Any]) -> ua.BrowseResult:
        head, rest = references[: self.page], references[self.page :]
        if not rest:
            return ua.BrowseResult(References=head)
        if len(self.points) >= self.points_limit:
            return ua.BrowseResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints))
        point = str(next(self.names)).encode()
        self.points[point] = rest
        return ua.BrowseResult(ContinuationPoint=point, References=head)

    def _reference(self, kind: ua.NodeId, child: ua.NodeId) -> ua.ReferenceDescription:
        name, is_variable, definition = self.nodes[child]
        return ua.ReferenceDescription(
            ReferenceTypeId=kind,
            IsForward=True,
            NodeId=ua.ExpandedNodeId(child.Identifier, child.NamespaceIndex),
            BrowseName=ua.QualifiedName(name, 1),
            DisplayName=ua.LocalizedText(name),
            NodeClass=ua.NodeClass.Variable if is_variable else ua.NodeClass.Object,
            TypeDefinition=ua.ExpandedNodeId(definition.Identifier, definition.NamespaceIndex),
        )

    async def browse_next(self, parameters: Any) -> list[ua.BrowseResult]:
        assert len(parameters.ContinuationPoints) <= self.browse_limit
        return [self._page(self.points.pop(point)) for point in parameters.ContinuationPoints]


ROOT = ua.NodeId(85)


async def walk(space: Space, *start: str) -> Browsed:
    async def namespaces() -> Sequence[str]:
        return NAMESPACES

    client: Any = SimpleNamespace(uaclient=SimpleNamespace(session=space), get_namespace_array=namespaces)
    return await browse(client, *start)


@pytest.mark.parametrize("points_limit", [1, 4, 1000])
async def test_every_variable_is_found_within_the_limits(points_limit: int) -> None:
    space = Space(points_limit=points_limit)
    wanted = set()
    for line in range(7):
        folder = space.add(ROOT, f"Line{line}", of=ORGANIZES)
        for machine in range(4):
            pump = space.add(folder, f"Pump{machine}")
            for number in range(8):
                node_id = space.add(pump, f"T{number}", value=1.5)
                unit = ua.EUInformation(DisplayName=ua.LocalizedText("°C"))
                space.add(node_id, "EngineeringUnits", value=unit, of=PROPERTY)
                wanted.add((f"Line{line}", f"Pump{machine}", f"T{number}"))
    found = await walk(space)
    assert {(*(above.name for above in v.node.path), v.node.name) for v in found.variables} == wanted
    assert len(found.variables) == len(wanted) == 224
    assert {(v.unit, v.data_type, v.rank, v.readable) for v in found.variables} == {("°C", "Double", -1, True)}
    assert found.unreadable == []
    assert space.points == {}
    assert space.too_big == 0


async def test_a_cycle_is_walked_once() -> None:
    space = Space()
    line = space.add(ROOT, "Line", of=ORGANIZES)
    pump = space.add(line, "Pump")
    space.add(pump, "Temperature", value=1.5)
    space.below[pump] += [(ORGANIZES, line), (ORGANIZES, pump), (ORGANIZES, ROOT)]
    space.below[ROOT].append((ORGANIZES, pump))
    space.nodes[ROOT] = "Objects", False, ua.NodeId(61)
    found = await walk(space)
    assert [v.node.name for v in found.variables] == ["Temperature"]


async def test_what_a_node_says_of_itself_is_read() -> None:
    space = Space(points_limit=100)
    pump = space.add(ROOT, "Pump")
    array = space.add(pump, "Array", value=[1.0, 2.0, 3.0])
    hidden = space.add(pump, "Hidden", value=1)
    written = space.add(pump, "Written", value="x")
    empty = space.add(pump, "Empty", value=ua.Variant(None, ua.VariantType.Null))
    mode = space.add(pump, "Mode", value=ua.Variant(1, ua.VariantType.Int32))
    names = [ua.LocalizedText("Stopped"), ua.LocalizedText("Running")]
    space.add(mode, "EnumStrings", value=ua.Variant(names, ua.VariantType.LocalizedText, is_array=True), of=PROPERTY)
    space.attributes[hidden, ua.AttributeIds.UserAccessLevel] = 0
    space.attributes[written, ua.AttributeIds.UserAccessLevel] = 3
    space.attributes[empty, ua.AttributeIds.DataType] = ua.NodeId(10)
    found = {v.node.name: v for v in (await walk(space)).variables}
    assert (found["Array"].rank, found["Array"].length, found["Array"].data_type) == (1, 3, "Double")
    assert found["Array"].text == f"nsu=urn:plant;i={array.Identifier}"
    assert not found["Hidden"].readable
    assert found["Written"].readable
    assert found["Empty"].data_type == "Float"
    assert found["Mode"].state_names == ("Stopped", "Running")


async def test_a_node_that_is_refused_stops_no_other() -> None:
    space = Space()
    secret, pump = space.add(ROOT, "Secret"), space.add(ROOT, "Pump")
    space.add(pump, "Temperature", value=1.5)
    space.refused.add(secret)
    found = await walk(space)
    assert [v.node.name for v in found.variables] == ["Temperature"]
    assert found.unreadable == [f"nsu=urn:plant;i={secret.Identifier}: BadUserAccessDenied"]


async def test_a_walk_may_begin_anywhere() -> None:
    space = Space()
    line = space.add(ROOT, "Line", of=ORGANIZES)
    space.add(ROOT, "Elsewhere", value=1.0)
    space.add(line, "Here", value=1.0)
    found = await walk(space, f"nsu=urn:plant;i={line.Identifier}")
    assert [v.node.name for v in found.variables] == ["Here"]


@pytest.mark.parametrize("start", ["nsu=urn:other;i=1", "nonsense", "nsu=urn:plant;i=7"])
async def test_a_beginning_that_is_no_node_is_an_error(start: str) -> None:
    space = Space()
    space.refused.add(ua.NodeId(7, 1))
    with pytest.raises(IngestError, match="--root: "):
        await walk(space, start)
