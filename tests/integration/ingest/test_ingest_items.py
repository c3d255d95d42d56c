"""Monitored items against a server that limits calls, refuses filters, forgets nodes and falls silent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from asyncua import Server, ua
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.subscription_service import SubscriptionService
from structlog.testing import capture_logs

from ingest.collector import Collector
from ingest.opcua import items as items_module
from ingest.opcua.items import Items
from ingest.opcua.subscribed import Subscribed
from ingest.plant import Deadband, Plant
from ingest.readings import Readings, empty_rows
from ingest.tags import sync_plant
from tests.conftest import free_port
from tests.integration.ingest.field import PUBLISHING_MS, URI, Field, tag
from warehouse.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started() -> AsyncIterator[tuple[Any, int, str]]:
    """A server for all tests, which takes a second or two to build."""
    server = Server()
    await server.init()
    url = f"opc.tcp://127.0.0.1:{free_port()}"
    server.set_endpoint(url)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(URI)
    async with server:
        yield server, index, url


@pytest_asyncio.fixture(loop_scope="module")
async def field(started: tuple[Any, int, str]) -> AsyncIterator[Field]:
    made = Field(*started)
    yield made
    for name in list(made.names):
        made.forget(name)


async def eventually(holds: Callable[[], Any], wanted: Any, seconds: float = 15.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if holds() == wanted:
            return
        await asyncio.sleep(0.05)
    assert holds() == wanted


async def test_no_call_is_bigger_than_the_server_says(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    create = SubscriptionService.create_monitored_items
    sizes: list[int] = []

    async def limited(self: Any, parameters: Any, *more: Any) -> Any:
        sizes.append(len(parameters.ItemsToCreate))
        return await create(self, parameters, *more)

    monkeypatch.setattr(SubscriptionService, "create_monitored_items", limited)
    node = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall)
    await field.server.get_node(node).write_value(ua.Variant(7, ua.VariantType.UInt32))
    for number in range(30):
        await field.add(f"N{number}", float(number))
    items = Items("main", [tag(number + 1, f"N{number}") for number in range(30)])
    async with field.monitoring(items):
        assert items.limits.monitored_items_a_call == 7
        await eventually(lambda: sorted(field.values), [(n + 1, float(n)) for n in range(30)])
    assert max(sizes) == 7
    assert len(items) == 30
    await field.server.get_node(node).write_value(ua.Variant(0, ua.VariantType.UInt32))


async def test_a_node_over_which_the_server_stumbles_stops_no_other(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = MonitoredItemService.create_monitored_items

    async def stumble(self: Any, parameters: Any) -> Any:
        if any(item.ItemToMonitor.NodeId.Identifier == "N3" for item in parameters.ItemsToCreate):
            raise ua.uaerrors.BadInternalError
        return await create(self, parameters)

    monkeypatch.setattr(MonitoredItemService, "create_monitored_items", stumble)
    for number in range(8):
        await field.add(f"N{number}", float(number))
    items = Items("main", [tag(number + 1, f"N{number}") for number in range(8)])
    async with field.monitoring(items):
        await eventually(lambda: sorted(field.values), [(n + 1, float(n)) for n in range(8) if n != 3])
        assert items.missing == {4: "BadInternalError"}


async def test_a_node_that_is_deleted_unsaid_is_found_and_followed_when_it_is_there_again(field: Field) -> None:
    for name in ("A", "B"):
        await field.add(name)
    items = Items("main", [tag(1, "A"), tag(2, "B")], field.note_lost)
    async with field.monitoring(items):
        await field.write("A", 1.0)
        await eventually(lambda: field.of(1), [0.0, 1.0])
        heard = datetime.now(UTC)
        field.forget("A")
        await eventually(lambda: items.missing, {1: "BadNodeIdUnknown"})
        await field.write("B", 5.0)
        await eventually(lambda: field.of(2)[-1:], [5.0])
        await field.add("A", 7.0)
        await eventually(lambda: field.of(1), [0.0, 1.0, 7.0])
        await field.write("A", 8.0)
        await eventually(lambda: field.of(1), [0.0, 1.0, 7.0, 8.0])
        await eventually(lambda: items.missing, {})
    ((detail, since, tag_ids),) = field.lost
    assert (detail, list(tag_ids)) == ("BadNodeIdUnknown", [1])
    assert heard - timedelta(seconds=3) < since <= heard


async def test_what_says_that_a_node_is_gone_is_no_value_of_it(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "_PATIENCE_S", 60.0)  # the node is there: were it asked, it would say so
    await field.add("A")
    items = Items("main", [tag(1, "A")], field.note_lost)
    async with field.monitoring(items):
        await eventually(lambda: field.of(1), [0.0])
        heard = datetime.now(UTC)
        await asyncio.sleep(1.5)
        rows = empty_rows(1)
        rows["tag_id"], rows["status"] = 1, ua.StatusCodes.BadNodeIdUnknown
        items.note(Readings(rows))
        await eventually(lambda: len(field.lost), 1)
    ((_, since, _),) = field.lost
    assert since <= heard


async def test_a_node_that_is_replaced_unsaid_is_monitored_anew(field: Field) -> None:
    await field.add("A")
    await field.add("B")
    items = Items("main", [tag(1, "A"), tag(2, "B")], field.note_lost)
    with capture_logs() as logs:
        async with field.monitoring(items):
            await eventually(lambda: (field.of(1), field.of(2)), ([0.0], [0.0]))
            field.forget("A")
            await field.add("A", 3.0)
            await eventually(lambda: field.of(1), [0.0, 3.0])
            await field.write("A", 4.0)
            await eventually(lambda: field.of(1), [0.0, 3.0, 4.0])
            await asyncio.sleep(2.5)  # a quiet node is asked about and left alone
    warnings = [(entry["event"], entry["count"]) for entry in logs if entry["log_level"] == "warning"]
    assert warnings == [("items_deaf", 1)]
    assert [list(tag_ids) for _, _, tag_ids in field.lost] == [[1]]
    assert field.of(2) == [0.0]


async def test_an_item_is_not_blamed_for_what_has_not_been_taken_in(field: Field) -> None:
    await field.add("A")
    items = Items("main", [tag(1, "A")], field.note_lost)
    async with field.monitoring(items):
        await eventually(lambda: field.of(1), [0.0])
        kept, field.held = dict(items.monitored), []
        await field.write("A", 1.0)
        await asyncio.sleep(6.0)  # time enough to be asked about and suspected, as above
        assert len(field.held) > 0
        assert items.monitored == kept
    assert field.lost == []


async def test_a_server_that_samples_slowly_is_given_its_time(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    create = MonitoredItemService.create_monitored_items

    async def slow(self: Any, parameters: Any) -> Any:
        results = await create(self, parameters)
        for result in results:
            result.RevisedSamplingInterval = 60_000.0
        return results

    monkeypatch.setattr(MonitoredItemService, "create_monitored_items", slow)
    await field.add("A")
    items = Items("main", [tag(1, "A")], field.note_lost)
    async with field.monitoring(items):
        await eventually(lambda: field.of(1), [0.0])
        field.forget("A")  # what it would be found by, were it asked about
        await asyncio.sleep(3.0)
        assert items.missing == {}


async def test_a_namespace_that_comes_later_brings_its_tags(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items_module, "_FIRST_RETRY_S", 0.2)
    items = Items("main", [Subscribed(1, "nsu=urn:later;s=A", 50, None), Subscribed(2, "i=99999999999", 50, None)])
    async with field.monitoring(items):
        assert "no namespace 'urn:later'" in items.missing[1]
        index = await field.server.register_namespace("urn:later")
        await field.server.nodes.objects.add_variable(ua.NodeId("A", index), "A", 1.5)
        await eventually(lambda: field.of(1), [1.5])
    assert "4294967295" in items.missing[2]


async def test_a_deadband_is_told_to_the_server(field: Field) -> None:
    await field.add("A")
    items = Items("main", [tag(1, "A", deadband=Deadband(absolute=1.0))])
    async with field.monitoring(items):
        await eventually(lambda: field.of(1), [0.0])
        for value in (0.5, 2.0, 2.5, 4.0):
            await field.write("A", value)
        await eventually(lambda: field.of(1), [0.0, 2.0, 4.0])


@pytest.mark.parametrize("refusal", [ua.StatusCodes.BadDeadbandFilterInvalid, ua.StatusCodes.BadFilterNotAllowed])
async def test_a_refused_deadband_is_said_once_and_the_tag_is_monitored_without(
    field: Field, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    create = MonitoredItemService._create_data_change_monitored_item

    async def refuse(self: Any, item: Any) -> Any:
        if item.RequestedParameters.Filter.DeadbandType != ua.DeadbandType.None_:
            return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(refusal))
        return await create(self, item)

    monkeypatch.setattr(MonitoredItemService, "_create_data_change_monitored_item", refuse)
    await field.add("A")
    await field.add("B")
    two = Deadband(percent=2.0)
    items = Items("main", [tag(1, "A", deadband=two), tag(2, "B", deadband=two)])
    with capture_logs() as logs:
        for _ in range(2):
            field.values = []
            async with field.monitoring(items):
                await field.write("A", 0.0)
                await field.write("A", 0.25)
                await eventually(lambda: field.of(1)[-1:], [0.25])
                assert items.missing == {}
    assert [(entry["event"], entry["count"]) for entry in logs] == [("deadband_refused", 2)]


async def test_a_queue_that_the_server_shortens_is_said_once(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field.server.iserver, "max_monitored_item_queue_size", 5)
    await field.add("A")
    items = Items("main", [tag(1, "A")])
    with capture_logs() as logs:
        for _ in range(2):
            async with field.monitoring(items):
                assert items.queues == {1: 5}
    assert [(entry["event"], entry["some"]) for entry in logs] == [("queue_shortened", {f"nsu={URI};s=A": "5 of 600"})]


async def test_a_type_that_is_not_supported_is_put_to_rest(field: Field) -> None:
    await field.add("A", [1.0, 2.0])
    await field.add("B")
    items = Items("main", [tag(1, "A"), tag(2, "B")], field.note_lost)
    async with field.monitoring(items) as (_, subscription):
        await eventually(lambda: sorted(items.missing), [1])
        assert items.missing[1].startswith("unsupported type")
        # It is missing from the moment that it is to be taken off the server: the clock and B are left there.
        service = field.server.iserver.subscription_service.subscriptions[subscription].monitored_item_srv
        await eventually(lambda: len(service._monitored_items), 2)
        await field.write("A", [3.0, 4.0])
        await field.write("B", 1.0)
        await eventually(lambda: field.of(2), [0.0, 1.0])
    assert field.of(1) == [[1.0, 2.0]]
    assert field.lost == []  # it was never there to be lost: its row is rejected with the reason


async def test_a_transferred_subscription_keeps_what_is_wanted_still(field: Field) -> None:
    for name in ("A", "B", "C"):
        await field.add(name)
    before = Items("main", [tag(1, "A"), tag(2, "B")])
    now = Items("main", [tag(1, "A"), tag(2, "B", deadband=Deadband(absolute=5.0)), tag(3, "C")], field.note_lost)
    async with field.monitoring(before) as (client, subscription):
        await eventually(lambda: sorted(field.values), [(1, 0.0), (2, 0.0)])
        kept = before.monitored[1]
        await now.adopt(client, subscription, PUBLISHING_MS, before.state())
        assert now.monitored[1] == kept
        assert now.queues[1] == before.queues[1]
        assert sorted(now.monitored) == [1, 2, 3]
        assert now.beating
        await eventually(lambda: sorted(field.values), [(1, 0.0), (2, 0.0), (2, 0.0), (3, 0.0)])
        await field.write("B", 4.0)
        await field.write("A", 1.0)
        await eventually(lambda: field.of(1), [0.0, 1.0])
        assert field.of(2) == [0.0, 0.0]


async def test_the_clock_beats(field: Field) -> None:
    items = Items("main", [])
    async with field.monitoring(items):
        assert items.beating
        await eventually(lambda: field.beats >= 2, True)


@asynccontextmanager
async def collecting(
    field: Field, warehouse: Settings, folder: Path, *tags: dict[str, Any]
) -> AsyncIterator[Collector]:
    """A whole collector of `tags`, into a warehouse."""
    (folder / "passwords.json").write_text((warehouse.var / "passwords.json").read_text())
    settings = warehouse.model_copy(update={"var": folder})
    plant = Plant.model_validate(
        {
            "plant_id": "P1",
            "name": "Plant",
            "timezone": "UTC",
            "servers": {"main": {"url": field.url, "publishing_interval_ms": 50}},
            "equipment": {"PUMP": {"name": "Pump", "type": "pump", "server": "main", "tags": tags}},
        }
    )
    collector = Collector(settings, plant, "main", sync_plant(settings, plant, datetime.now(UTC)).tag_ids)
    stop = asyncio.Event()
    running = asyncio.create_task(collector.run(stop))
    try:
        await eventually(lambda: collector.session.connected_tags > 0, True)
        yield collector
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


async def test_the_elements_of_an_array_land_as_tags(
    field: Field, warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    await field.add("A", [1.0, 2.0, 3.0])
    tags = [
        {"node": f"nsu={URI};s=A", "element": 2, "measurement": "vibration", "position": "rear"},
        {"node": f"nsu={URI};s=A", "element": 0, "measurement": "vibration", "position": "front"},
    ]
    query = (
        "SELECT node_id, position, array_agg(value ORDER BY source_ts) FROM raw.sensor_events"
        " JOIN raw.tags USING (tag_id) GROUP BY node_id, position ORDER BY node_id"
    )
    address = f"nsu={URI};s=A"
    async with collecting(field, warehouse, tmp_path, *tags):
        await field.write("A", [10.0, 20.0, 30.0])
        await eventually(
            lambda: admin.execute(query).fetchall(),
            [(f"{address}[0]", "front", [1.0, 10.0]), (f"{address}[2]", "rear", [3.0, 30.0])],
        )


async def test_a_node_that_dies_opens_a_gap_of_its_own_alone(
    field: Field, warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    await field.add("A")
    await field.add("B")
    tags = [
        {"node": f"nsu={URI};s=A", "measurement": "vibration", "sampling_interval_ms": 50},
        {"node": f"nsu={URI};s=B", "measurement": "temperature", "sampling_interval_ms": 50},
    ]
    gaps = (
        "SELECT measurement, to_ts IS NULL FROM raw.sensor_gaps JOIN raw.tags USING (tag_id)"
        " WHERE detail LIKE %s ORDER BY gap_id"
    )
    count = "SELECT count(*) FROM raw.sensor_events JOIN raw.tags USING (tag_id) WHERE measurement = 'vibration'"
    async with collecting(field, warehouse, tmp_path, *tags):
        await field.write("A", 1.0)
        await eventually(lambda: admin.execute(count).fetchone(), (2,))
        field.forget("A")
        unknown = ("BadNodeIdUnknown%",)
        await eventually(lambda: admin.execute(gaps, unknown).fetchall(), [("vibration", True)])
        await field.add("A", 7.0)
        await field.write("A", 8.0)
        await eventually(lambda: admin.execute(gaps, unknown).fetchall(), [("vibration", False)])
