"""A whole worker against node-opcua and a real Postgres: what was offered landed, or the ledger says what did not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest.opcua.check import check
from ingest.opcua.security import Pki
from ingest.plant import Plant
from ingest.worker import collect
from tests.e2e.peer.launch import Peer
from warehouse.settings import Settings

COUNTERS = [{"name": f"C{n}", "type": "Int64", "rate_hz": 20} for n in (1, 2)]
STEP = timedelta(milliseconds=50)
OPTIONS: dict[str, Any] = {
    "policies": ["None", "Aes256Sha256RsaPss"],
    "modes": ["None", "SignAndEncrypt"],
    "trust": True,
    "users": {"operator": "s3cret"},
    "limits": {"maxMonitoredItemsPerCall": 3, "maxNodesPerRead": 2},
}
SECURED = {"security_policy": "Aes256Sha256RsaPss", "username": "operator", "password_env": "PEER_PASSWORD"}


@pytest.fixture
def here(warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PEER_PASSWORD", "s3cret")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "passwords.json").write_text((warehouse.var / "passwords.json").read_text())
    return warehouse.model_copy(update={"var": tmp_path / "var"})


def tag(name: str, measurement: str, **more: Any) -> dict[str, Any]:
    return {"node": f"nsu=urn:millwright:peer;s={name}", "measurement": measurement, "sampling_interval_ms": 0, **more}


def plant_of(peer: Peer, *more: dict[str, Any], **server: Any) -> Plant:
    counters = [tag(f"C{n}", f"counter_{n}", role="counter", data_type="integer") for n in (1, 2)]
    main = {"url": peer.url, "publishing_interval_ms": 100, "silence_timeout_s": 3, "session_timeout_s": 10, **server}
    pump = {"name": "Pump", "type": "pump", "server": "main", "tags": [*counters, *more]}
    return Plant.model_validate(
        {
            "plant_id": "P1", "name": "Plant", "timezone": "UTC", "servers": {"main": main},
            "equipment": {"PUMP": pump},
        }
    )  # fmt: skip


@asynccontextmanager
async def collecting(settings: Settings, plant: Plant) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(collect(settings, plant, list(plant.servers), stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 15)


async def until(holds: Callable[[], bool], seconds: float = 40.0) -> None:
    for _ in range(int(seconds / 0.1)):
        if holds():
            return
        await asyncio.sleep(0.1)
    assert holds()


def landed(admin: psycopg.Connection, measurement: str) -> list[tuple[int, datetime]]:
    """(value, source time) of a counter's rows, in the order of their source times."""
    return admin.execute(
        "SELECT value::bigint, source_ts FROM raw.sensor_events JOIN raw.tags USING (tag_id)"
        " WHERE measurement = %s AND value IS NOT NULL ORDER BY source_ts, value",
        (measurement,),
    ).fetchall()


def last(admin: psycopg.Connection, measurement: str = "counter_1") -> int:
    rows = landed(admin, measurement)
    return rows[-1][0] if rows else -1


def many(admin: psycopg.Connection, count: int) -> bool:
    """Whether more than `count` have landed of both counters, which may have counted for long before we came."""
    return all(len(landed(admin, f"counter_{number}")) > count for number in (1, 2))


def unexplained(admin: psycopg.Connection, measurement: str) -> list[int]:
    """Counts between the first and the last landed that neither landed nor lie in a gap of the ledger.

    Fails on a count that landed twice.
    """
    rows = landed(admin, measurement)
    values = [value for value, _ in rows]
    assert len(values) == len(set(values)), "a value landed twice"
    gaps = admin.execute(
        "SELECT from_ts, to_ts FROM raw.sensor_gaps JOIN raw.tags USING (tag_id)"
        " WHERE measurement = %s AND NOT repaired",
        (measurement,),
    ).fetchall()
    lost: list[int] = []
    for (value, at), (following, then) in pairwise(rows):
        covered = any(start <= at + STEP and (end is None or end >= then - STEP) for start, end in gaps)
        if following != value + 1 and not covered:
            lost += range(value + 1, following)
    return lost


async def test_a_secured_worker_lands_every_value_once_and_leaves_nothing_behind(
    here: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    tags = [
        *COUNTERS,
        {"name": "S", "type": "String", "value": "RUNNING"},
        {"name": "A", "type": "Float", "value": [1.5, 2.5, 3.5]},
        {"name": "I", "type": "Int16", "value": -7},
        {"name": "F", "type": "Boolean", "value": True},
    ]
    with Peer(tmp_path / "peer", tags=tags, **OPTIONS) as peer:
        plant = plant_of(
            peer,
            tag("S", "run_state", role="state", data_type="string", states={"RUNNING": "running"}),
            tag("A", "temperature", position="a", element=0),
            tag("A", "temperature", position="c", element=2),
            tag("I", "power", data_type="integer"),
            tag("F", "door", role="state", data_type="boolean"),
            **SECURED,
        )
        latest = (
            "SELECT measurement, position, value, value_text FROM raw.tag_latest JOIN raw.tags USING (tag_id)"
            " WHERE role <> 'counter' ORDER BY 1, 2"
        )
        async with collecting(here, plant):
            # Items are made a few at a time, and the first of them may tell many values before the last is there.
            await until(lambda: many(admin, 60) and len(admin.execute(latest).fetchall()) == 5)
            status = peer.do("status")
            assert (status["sessions"], status["subscriptions"]) == (1, 1)
        offered = peer.do("status")
        assert (offered["sessions"], offered["subscriptions"]) == (0, 0), "left behind on the server"
    for measurement in ("counter_1", "counter_2"):
        values = [value for value, _ in landed(admin, measurement)]
        assert values == list(range(values[0], values[-1] + 1))
        assert values[-1] < offered["offered"]["C1"]
    assert admin.execute(latest).fetchall() == [
        ("door", "", 1.0, None),
        ("power", "", -7.0, None),
        ("run_state", "", None, "RUNNING"),
        ("temperature", "a", 1.5, None),
        ("temperature", "c", 3.5, None),
    ]


async def test_a_server_that_refuses_us_stops_no_other_and_comes_in_once_it_trusts_us(
    here: Settings, admin: psycopg.Connection, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def refused() -> bool:
        nonlocal said
        said += capfd.readouterr().out
        return "doesn't trust this collector's certificate" in said

    strict = {**OPTIONS, "trust": False}
    one, other = Peer(tmp_path / "a", tags=COUNTERS[:1], **OPTIONS), Peer(tmp_path / "b", tags=COUNTERS[1:], **strict)
    with one as press, other as paint:
        plant = plant_of(press).model_dump(mode="json", exclude_none=True)
        main, pump = plant["servers"]["main"], plant["equipment"]["PUMP"]
        plant["servers"]["paint"] = {**main, "url": paint.url, **SECURED}
        plant["equipment"]["OVEN"] = {**pump, "server": "paint", "tags": pump["tags"][1:]}
        pump["tags"] = pump["tags"][:1]
        async with collecting(here, Plant.model_validate(plant)):
            await until(lambda: last(admin) > 60)
            await until(refused)  # what is to be trusted is among the rejected by then
            assert last(admin, "counter_2") == -1
            paint.do("trust")
            await until(lambda: last(admin, "counter_2") >= 0)
    values = [value for value, _ in landed(admin, "counter_1")]
    assert values == list(range(values[0], values[-1] + 1))


async def test_renewed_keys_of_the_channel_lose_nothing(
    here: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    with Peer(tmp_path / "peer", tags=COUNTERS, token_ms=1500, **OPTIONS) as peer:
        async with collecting(here, plant_of(peer, **SECURED)):
            await until(lambda: many(admin, 140))  # seven seconds: six renewals, and the first keys have long run out
    for measurement in ("counter_1", "counter_2"):
        values = [value for value, _ in landed(admin, measurement)]
        assert values == list(range(values[0], values[-1] + 1))
    assert admin.execute("SELECT count(*) FROM raw.sensor_gaps WHERE NOT repaired").fetchone() == (0,)


@pytest.mark.parametrize(
    ("command", "what"),
    [("hang", {"ms": 9000}), ("drop", {}), ("expire", {}), ("end_subscriptions", {})],
    ids=["a hang of 9 s", "dropped TCP", "expired sessions", "subscriptions ended by the server"],
)
async def test_values_come_again_and_none_is_lost_unexplained(
    here: Settings, admin: psycopg.Connection, tmp_path: Path, command: str, what: dict[str, int]
) -> None:
    with Peer(tmp_path / "peer", tags=COUNTERS, **OPTIONS) as peer:
        async with collecting(here, plant_of(peer)):
            await until(lambda: last(admin) > 40)
            peer.ask(command, **what)
            assert (await asyncio.to_thread(peer.answer))["done"] == command
            reached = peer.do("status")["offered"]["C1"]
            await until(lambda: last(admin) > reached + 40)
            await asyncio.to_thread(peer.do, "status")
            sessions = peer.do("status")["sessions"]
    assert sessions <= 2, "sessions pile up"
    assert unexplained(admin, "counter_1") == []
    assert unexplained(admin, "counter_2") == []
    if command == "drop":  # the server keeps the subscription, and what it could not send
        values = [value for value, _ in landed(admin, "counter_1")]
        assert values == list(range(values[0], values[-1] + 1)), "lost though the server had it"


async def test_a_restart_with_shifted_namespaces_brings_no_other_sensors_values(
    here: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    # What asyncua did: subscribed again by the old index, it brought the decoy's values as the counter's.
    decoy = [{**counter, "namespace": "urn:decoy", "first": 1_000_000} for counter in COUNTERS]
    spaces = ["urn:millwright:peer", "urn:decoy"]
    counters = [{**counter, "namespace": "urn:millwright:peer"} for counter in COUNTERS]
    with Peer(tmp_path / "peer", namespaces=spaces, tags=[*counters, *decoy], **OPTIONS) as peer:
        async with collecting(here, plant_of(peer)):
            await until(lambda: last(admin) > 40)
            peer.kill()
            peer.config["namespaces"] = spaces[::-1]
            peer.config["tags"] = [*decoy, *({**counter, "first": 5000} for counter in counters)]
            peer.start()
            await until(lambda: last(admin) > 5040)
    assert last(admin) < 100_000
    assert unexplained(admin, "counter_1") == []


async def test_a_node_that_is_deleted_comes_back_by_itself(
    here: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    with Peer(tmp_path / "peer", tags=COUNTERS, **OPTIONS) as peer:
        async with collecting(here, plant_of(peer)):
            await until(lambda: last(admin, "counter_2") > 40)
            peer.do("delete", tag="C2")
            deleted_at = last(admin)
            await until(lambda: last(admin) > deleted_at + 40)
            peer.do("add", tag={**COUNTERS[1], "first": 9000})
            await until(lambda: last(admin, "counter_2") > 9020)
    values = [value for value, _ in landed(admin, "counter_1")]
    assert values == list(range(values[0], values[-1] + 1)), "the other tag was disturbed"
    assert unexplained(admin, "counter_2") == []


async def test_check_says_how_every_tag_is_within_the_servers_limits(here: Settings, tmp_path: Path) -> None:
    tags = [*COUNTERS, {"name": "A", "value": [1.0, 2.0]}, {"name": "N", "value": 5.0, "no_access": True}]
    with Peer(tmp_path / "peer", tags=tags, **OPTIONS) as peer:
        plant = plant_of(
            peer,
            tag("A", "temperature"),
            tag("A2", "pressure"),
            tag("N", "vibration"),
            tag("B", "power"),
            tag("L", "speed"),
            **SECURED,
        )
        peer.do("add", tag={"name": "B", "value": 1.0})
        peer.do("write", tag="B", value=1.0, status="BadSensorFailure")
        peer.do("add", tag={"name": "L", "value": 1.0})
        peer.do("write", tag="L", value=1.0, at=int(datetime.now(UTC).timestamp() * 1000) + 60_000)
        report = await check(plant, Pki(here.var / "pki"))
        assert peer.do("status")["sessions"] == 0
    assert report.unreachable == {} and report.exit_code == 1
    assert {finding.tag.measurement: finding.outcome for finding in report.findings} == {
        "counter_1": "ok",
        "counter_2": "ok",
        "temperature": "wrong type",
        "pressure": "missing",
        "vibration": "no access",
        "power": "bad quality",
        "speed": "clock skew",
    }
    details = {finding.tag.measurement: finding.detail for finding in report.findings}
    assert details["temperature"] == "array of 2 Double; say element: 0 to 1"
    assert abs(report.skew_s["main"]) < 1
