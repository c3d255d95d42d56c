"""A whole worker against an OPC UA server and a real Postgres: every value once, through all troubles."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from asyncua import Server, ua
from asyncua.server.monitored_item_service import MonitoredItemService

from ingest.collector import Collector
from ingest.landing.spool import SpoolTakenError
from ingest.opcua import session as session_module
from ingest.opcua.check import check
from ingest.opcua.security import Pki
from ingest.plant import Plant
from ingest.tags import sync_plant
from ingest.worker import collect
from tests.conftest import free_port
from warehouse import server as postgres
from warehouse.migrate import migrate
from warehouse.roles import Role, connect
from warehouse.settings import Settings

URI = "urn:millwright:test"


class Field:
    """A server with writable variables by name."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.server: Any = None
        self.nodes: dict[str, Any] = {}

    async def start(self, names: tuple[str, ...] = ("T", "V"), shift: int = 0) -> None:
        self.server = Server()
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}")
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for number in range(shift):
            await self.server.register_namespace(f"urn:shift:{number}")
        self.index = await self.server.register_namespace(URI)
        for name in names:
            await self.add(name)
        await self.server.start()

    async def add(self, name: str) -> None:
        node_id = ua.NodeId(name, self.index)
        self.nodes[name] = await self.server.nodes.objects.add_variable(node_id, name, 0.0, ua.VariantType.Double)

    async def write(self, name: str, value: Any, at: datetime, status: int = 0) -> None:
        kind = ua.VariantType.Double if isinstance(value, float) else None
        data = ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), at, datetime.now(UTC))
        await self.server.write_attribute_value(self.nodes[name].nodeid, data)

    async def burst(self, name: str, first: int, count: int) -> None:
        """Values first, first + 1, … a millisecond apart in source time, as fast as they can be written."""
        start = datetime.now(UTC)
        for number in range(first, first + count):
            await self.write(name, float(number), start + timedelta(milliseconds=number - first))

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop()
        self.server = None


@pytest.fixture
async def field() -> AsyncIterator[Field]:
    made = Field(free_port())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_LONGEST_BACKOFF_S", 0.5)


def plant_of(field: Field, *more: dict[str, Any], **options: Any) -> Plant:
    tags = [
        {"node": f"nsu={URI};s=T", "measurement": "temperature", "sampling_interval_ms": 10, "queue_size": 5000},
        {"node": f"nsu={URI};s=V", "measurement": "vibration", "sampling_interval_ms": 10, "queue_size": 5000},
        *more,
    ]
    main = {"url": f"opc.tcp://127.0.0.1:{field.port}", "publishing_interval_ms": 50, "silence_timeout_s": 3, **options}
    return Plant.model_validate(
        {
            "plant_id": "P1",
            "name": "Plant",
            "timezone": "UTC",
            "servers": {"main": main},
            "equipment": {"PUMP": {"name": "Pump", "type": "pump", "server": "main", "tags": tags}},
        }
    )


@asynccontextmanager
async def collecting(settings: Settings, plant: Plant) -> AsyncIterator[Collector]:
    ids = sync_plant(settings, plant, datetime.now(UTC)).tag_ids
    collector = Collector(settings, plant, "main", ids)
    stop = asyncio.Event()
    running = asyncio.create_task(collector.run(stop))
    try:
        yield collector
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


async def eventually(holds: Callable[[], Any], wanted: Any, seconds: float = 20.0) -> None:
    """Wait until `holds()` gives `wanted`; fails with what it gave last."""
    for _ in range(int(seconds / 0.1)):
        if holds() == wanted:
            return
        await asyncio.sleep(0.1)
    assert holds() == wanted


def settings_in(warehouse: Settings, folder: Path) -> Settings:
    """The warehouse with a spool of the test's own; passwords stay where they are."""
    (folder / "passwords.json").write_text((warehouse.var / "passwords.json").read_text())
    return warehouse.model_copy(update={"var": folder})


@pytest.fixture
def here(warehouse: Settings, tmp_path: Path) -> Settings:
    return settings_in(warehouse, tmp_path)


def landed(admin: psycopg.Connection, measurement: str = "temperature") -> list[float]:
    rows = admin.execute(
        "SELECT value FROM raw.sensor_events JOIN raw.tags USING (tag_id)"
        " WHERE measurement = %s AND value > 0 ORDER BY value",
        (measurement,),
    )
    return [row[0] for row in rows]


async def connected(collector: Collector) -> None:
    await eventually(lambda: collector.session.connected_tags > 0, True)


async def test_every_value_of_a_burst_lands_once(field: Field, here: Settings, admin: psycopg.Connection) -> None:
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        await field.burst("T", 1, 3000)
        await eventually(lambda: len(landed(admin)), 3000)
    assert landed(admin) == [float(n) for n in range(1, 3001)]
    assert list((here.var / "spool" / "main").glob("*.seg")) == []  # drained when stopped


async def test_status_timestamps_and_duplicate_times_are_kept(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    at = datetime.now(UTC) - timedelta(seconds=10)
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        await field.write("T", 1.0, at)
        await field.write("T", 2.0, at)
        await field.write("T", 3.0, at + timedelta(seconds=1), 0x40920000)
        await field.write("T", 4.0, at + timedelta(days=4000))
        await field.write("T", 5.0, at + timedelta(seconds=2), 0x808C0000)
        bad = "SELECT count(*) FROM raw.sensor_events WHERE status = 2156658688"
        await eventually(lambda: (landed(admin)[:3], admin.execute(bad).fetchone()), ([1.0, 2.0, 3.0], (1,)))
    rows = admin.execute(
        "SELECT source_ts, status, server_ts IS NOT NULL FROM raw.sensor_events WHERE value > 0 ORDER BY value"
    )
    assert rows.fetchall() == [(at, 0, True), (at, 0, True), (at + timedelta(seconds=1), 0x40920000, True)]
    assert admin.execute("SELECT reason FROM raw.rejected_events").fetchall() == [
        ("source timestamp more than 300 s ahead of the clock",)
    ]


@pytest.mark.parametrize("refusal", [None, ua.StatusCodes.BadFilterNotAllowed])
async def test_a_stuck_value_lands_at_each_of_its_times(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, refusal: int | None
) -> None:
    create = MonitoredItemService._create_data_change_monitored_item

    async def refuse(self: Any, item: Any) -> Any:
        if refusal is not None and item.RequestedParameters.Filter:
            return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(refusal))
        return await create(self, item)

    monkeypatch.setattr(MonitoredItemService, "_create_data_change_monitored_item", refuse)
    at = datetime.now(UTC) - timedelta(seconds=10)
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        for second in (0, 0, 1, 2):
            await field.write("T", 7.5, at + timedelta(seconds=second))
        await field.write("T", 8.0, at + timedelta(seconds=3))
        # Without the filter a server tells what changes, and nothing else is lost.
        wanted = [7.5, 8.0] if refusal else [7.5, 7.5, 7.5, 8.0]
        await eventually(lambda: landed(admin), wanted)


async def test_a_missing_node_stops_no_other_and_comes_back(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    late = {"node": f"nsu={URI};s=LATE", "measurement": "pressure"}
    lost = {"node": "nsu=urn:nowhere;s=X", "measurement": "power"}
    async with collecting(here, plant_of(field, late, lost)) as collector:
        await connected(collector)
        await field.write("T", 1.0, datetime.now(UTC))
        await eventually(lambda: landed(admin), [1.0])
        await field.add("LATE")
        await field.write("LATE", 7.0, datetime.now(UTC))
        await eventually(lambda: landed(admin, "pressure"), [7.0])


async def test_a_restarted_server_with_shifted_namespaces_is_followed(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        await field.write("T", 1.0, datetime.now(UTC))
        await field.write("V", 100.0, datetime.now(UTC))
        await eventually(lambda: (landed(admin), landed(admin, "vibration")), ([1.0], [100.0]))
        await field.stop()
        await eventually(lambda: collector.session.connected_tags, 0)
        await field.start(("V", "T"), shift=2)
        await connected(collector)
        await field.write("T", 2.0, datetime.now(UTC))
        await field.write("V", 200.0, datetime.now(UTC))
        await eventually(lambda: (landed(admin), landed(admin, "vibration")), ([1.0, 2.0], [100.0, 200.0]))
        open_gaps = "SELECT count(*) FROM raw.sensor_gaps WHERE to_ts IS NULL"
        await eventually(lambda: admin.execute(open_gaps).fetchone(), (0,))
    assert admin.execute("SELECT DISTINCT cause FROM raw.sensor_gaps").fetchall() == [("outage",)]


async def test_a_server_that_is_down_at_the_start_is_waited_for(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    await field.stop()
    async with collecting(here, plant_of(field)) as collector:
        await asyncio.sleep(1.0)
        await field.start()
        await connected(collector)
        await field.write("T", 1.0, datetime.now(UTC))
        await eventually(lambda: landed(admin), [1.0])


async def test_a_silent_server_is_connected_anew(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        # What a hung server looks like from here: requests are answered, notifications never come.
        subscriptions = field.server.iserver.subscription_service.subscriptions
        for subscription in subscriptions.values():
            monkeypatch.setattr(subscription, "publish_results", _nothing)
        await eventually(lambda: collector.session.reconnects, 1)
        await connected(collector)
        await field.write("T", 5.0, datetime.now(UTC))
        await eventually(lambda: landed(admin), [5.0])


async def _nothing(*_: Any, **__: Any) -> bool:
    return False


async def test_sessions_are_closed_on_stop(field: Field, here: Settings) -> None:
    for _ in range(3):
        async with collecting(here, plant_of(field)) as collector:
            await connected(collector)
    await eventually(lambda: len(field.server.iserver.subscription_service.subscriptions), 0)


async def test_what_was_spooled_before_a_crash_lands_once(
    field: Field, here: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        # Landed, and the worker dies before it can forget what has landed.
        monkeypatch.setattr(collector._spool, "trim", lambda: None)
        await field.burst("T", 1, 500)
        await eventually(lambda: len(landed(admin)), 500)
        monkeypatch.setattr(collector._spool, "close", lambda: None)
    monkeypatch.undo()
    os.close(collector._spool._lock_file)
    assert list((here.var / "spool" / "main").glob("*.seg")) != []
    async with collecting(here, plant_of(field)) as collector:
        await connected(collector)
        await field.burst("T", 501, 10)
        await eventually(lambda: len(landed(admin)), 510)
    assert landed(admin) == [float(n) for n in range(1, 511)]


async def test_nothing_is_lost_while_postgres_is_away(field: Field, open_folder: Path) -> None:
    settings = Settings(var=open_folder, postgres_port=free_port())
    with postgres.running(settings):
        await asyncio.to_thread(migrate, settings)
    running = postgres.running(settings)
    await asyncio.to_thread(running.__enter__)
    try:
        async with collecting(settings, plant_of(field)) as collector:
            await connected(collector)
            await field.burst("T", 1, 100)
            await asyncio.to_thread(running.__exit__, None, None, None)
            await field.burst("T", 101, 100)
            await asyncio.sleep(1.0)
            running = postgres.running(settings)
            await asyncio.to_thread(running.__enter__)
            await field.burst("T", 201, 100)
            with connect(settings, Role.ADMIN, autocommit=True) as admin:
                await eventually(lambda: landed(admin), [float(n) for n in range(1, 301)], 30)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def test_revoked_privileges_stop_the_landing_and_lose_nothing(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    async with collecting(here, plant_of(field)):
        # The first values attach the day's partition, which a REVOKE at the same moment fails on in Postgres.
        await eventually(lambda: admin.execute("SELECT count(*) > 0 FROM raw.sensor_events").fetchone(), (True,))
        admin.execute("REVOKE INSERT ON raw.sensor_events FROM millwright_ingest")
        await field.burst("T", 1, 50)
        await asyncio.sleep(1.0)
        assert landed(admin) == []
        admin.execute("GRANT INSERT ON raw.sensor_events TO millwright_ingest")
        await eventually(lambda: len(landed(admin)), 50)


async def test_a_spool_has_one_worker(field: Field, here: Settings) -> None:
    plant = plant_of(field)
    async with collecting(here, plant):
        with pytest.raises(SpoolTakenError, match="another worker"):
            await collect(here, plant, ["main"])


async def test_check_says_how_every_tag_is(field: Field, tmp_path: Path) -> None:
    wrong = [
        {"node": f"nsu={URI};s=NONE", "measurement": "pressure"},
        {"node": "nsu=urn:nowhere;s=X", "measurement": "power"},
        {"node": "i=2255", "measurement": "current"},
        {"node": "i=2258", "measurement": "clock", "role": "counter", "data_type": "datetime"},
    ]
    await field.write("T", 21.5, datetime.now(UTC))
    await field.write("V", 1.0, datetime.now(UTC), 0x808C0000)
    report = await check(plant_of(field, *wrong), Pki(tmp_path))
    outcomes = {finding.tag.measurement: finding.outcome for finding in report.findings}
    assert report.exit_code == 1
    assert outcomes == {
        "temperature": "ok",
        "vibration": "bad quality",
        "pressure": "missing",
        "power": "missing",
        "current": "wrong type",
        "clock": "ok",
    }


async def test_an_unreachable_server_is_one_line(field: Field, tmp_path: Path) -> None:
    await field.stop()
    report = await check(plant_of(field), Pki(tmp_path))
    assert report.exit_code == 2
    reason = report.unreachable["main"]
    assert re.match(r"server 'main' \(opc.tcp://127.0.0.1:\d+\): nothing listens there; .*check the port", reason)
    assert "\n" not in reason


async def test_a_value_that_crosses_and_stays_is_an_alert_when_its_delay_ends(
    field: Field, here: Settings, admin: psycopg.Connection
) -> None:
    limits = {"high": {"warning": 80}, "on_delay_s": 1, "off_delay_s": 1}
    speed = {"node": f"nsu={URI};s=W", "measurement": "speed", "limits": limits, "sampling_interval_ms": 10}
    await field.add("W")

    def alerts() -> list[Any]:
        return admin.execute("SELECT state, cleared_at >= timestamp FROM serving.critical_alerts").fetchall()

    async with collecting(here, plant_of(field, speed)) as collector:
        await eventually(lambda: collector.session.connected_tags, 3)
        await field.write("W", 81.0, datetime.now(UTC))
        # Nothing more is sent from here on: only the timer tells.
        await eventually(alerts, [("active", None)])
        await field.write("W", 70.0, datetime.now(UTC))
        await eventually(alerts, [("cleared", True)])
    waited = admin.execute(
        "SELECT a.timestamp - e.source_ts FROM serving.critical_alerts AS a"
        " JOIN raw.sensor_events AS e ON e.tag_id = a.tag_id AND e.value = 81"
    ).fetchone()
    assert waited is not None
    assert abs(waited[0] - timedelta(seconds=1)) <= timedelta(milliseconds=1)  # timestamp has milliseconds
