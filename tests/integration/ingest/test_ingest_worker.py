"""The worker as a process: several servers, a page to look at, one line a refusal, and out within five seconds."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ingest.health import Health
from ingest.plant import Plant
from ingest.remembered import remember
from ingest.tags import sync_plant
from ingest.worker import collect
from tests.conftest import free_port
from tests.integration.ingest.test_ingest_collector import URI, Field, eventually, landed, settings_in
from warehouse import server as postgres
from warehouse.migrate import migrate
from warehouse.roles import Role, connect
from warehouse.settings import HOME, Settings

# Five seconds are promised; the rest is for a machine that is busy with other tests.
STOP_S = 10.0


def two_servers(first: int, second: int) -> Plant:
    server = {"publishing_interval_ms": 50, "silence_timeout_s": 3}
    tags = [{"node": f"nsu={URI};s=T", "measurement": "temperature", "sampling_interval_ms": 10}]
    machine = {"name": "Pump", "type": "pump", "tags": tags}
    return Plant.model_validate(
        {
            "plant_id": "P1", "name": "Plant", "timezone": "UTC",
            "servers": {
                name: {**server, "url": f"opc.tcp://127.0.0.1:{port}"}
                for name, port in (("one", first), ("two", second))
            },
            "equipment": {"A": {**machine, "server": "one"}, "B": {**machine, "server": "two"}},
        }
    )  # fmt: skip


class Worker:
    """`python -m ingest run` in a process of its own."""

    def __init__(self, settings: Settings, plant: Plant, *options: str, port: int = 0) -> None:
        described = settings.var / "plant.yml"
        described.write_text(json.dumps(plant.model_dump(mode="json", exclude_none=True)))
        self.log = settings.var / f"worker{time.monotonic_ns()}.log"
        environment = {
            **os.environ, "PGDATABASE": settings.pgdatabase, "MILLWRIGHT_VAR": str(settings.var),
            "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port), "MILLWRIGHT_METRICS_PORT": str(port),
        }  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ingest", "run", "--plant", str(described), *options],
                cwd=HOME, env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    def port(self) -> int | None:
        found = re.search(r"address='http://127.0.0.1:(\d+)/metrics'", self.log.read_text())
        return int(found[1]) if found else None

    def get(self, path: str) -> tuple[int, str]:
        if (port := self.port()) is None:
            return 0, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def figure(self, name: str, server: str) -> float | None:
        found = re.search(rf'^{name}\{{server="{server}"\}} (\S+)$', self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else None

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@pytest.fixture
def here(warehouse: Settings, tmp_path: Path) -> Settings:
    return settings_in(warehouse, tmp_path)


@pytest.fixture
async def fields() -> AsyncIterator[list[Field]]:
    made = [Field(free_port()) for _ in range(2)]
    for field in made:
        await field.start()
    yield made
    for field in made:
        await field.stop()


@pytest.fixture
def started() -> Iterator[list[Worker]]:
    made: list[Worker] = []
    yield made
    for worker in made:
        worker.end()


def state(admin: psycopg.Connection) -> dict[str, str]:
    return dict(admin.execute("SELECT server, state FROM serving.server_state").fetchall())


async def test_one_server_goes_and_comes_and_the_other_collects(
    fields: list[Field], here: Settings, admin: psycopg.Connection, started: list[Worker]
) -> None:
    plant = two_servers(fields[0].port, fields[1].port)
    started.append(worker := Worker(here, plant))
    await eventually(lambda: worker.get("/readyz")[0], 200, 30)
    assert worker.get("/healthz")[0] == 200
    await fields[0].write("T", 1.0, datetime.now(UTC))
    await fields[1].write("T", 2.0, datetime.now(UTC))
    await eventually(lambda: landed(admin), [1.0, 2.0])
    # A worker is ready once it is connected; the landing after that one tells Postgres.
    await eventually(lambda: state(admin), {"one": "connected", "two": "connected"})
    quality = "SELECT equipment_id, temperature, uncertain_tags, bad_tags FROM serving.equipment_state ORDER BY 1"
    assert admin.execute(quality).fetchall() == [("A", 1.0, 0, 0), ("B", 2.0, 0, 0)]

    await fields[0].stop()
    await eventually(lambda: state(admin), {"one": "unreachable", "two": "connected"})
    # The last usable value is shown, and said to be uncertain.
    assert admin.execute(quality).fetchall() == [("A", 1.0, 1, 1), ("B", 2.0, 0, 0)]
    current = "SELECT quality, status FROM raw.tag_current ORDER BY tag_id"
    assert admin.execute(current).fetchall() == [("uncertain", 0x408F0000), ("good", 0)]
    status, body = worker.get("/readyz")
    assert (status, json.loads(body)["servers"]["two"]) == (503, "ok")
    assert json.loads(body)["servers"]["one"].startswith("not connected: ")
    assert worker.get("/healthz")[0] == 200
    await fields[1].write("T", 3.0, datetime.now(UTC))
    await eventually(lambda: landed(admin), [1.0, 2.0, 3.0])
    assert worker.figure("millwright_connected", "one") == 0.0
    assert worker.figure("millwright_connected", "two") == 1.0
    assert (worker.figure("millwright_values_landed_total", "two") or 0) >= 2

    await fields[0].start()
    await eventually(lambda: state(admin), {"one": "connected", "two": "connected"}, 40)
    assert worker.figure("millwright_reconnects_total", "one") == 1.0
    since = admin.execute("SELECT unreachable_since FROM serving.hmi_dashboard WHERE equipment_id = 'A'").fetchone()
    assert since == (None,)

    worker.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, STOP_S) == 0
    assert state(admin) == {"one": "unreachable", "two": "unreachable"}
    reasons = admin.execute("SELECT DISTINCT reason FROM raw.servers").fetchall()
    assert reasons == [("the worker was stopped",)]
    log = worker.log.read_text()
    assert "Traceback" not in log
    assert all(line.startswith("timestamp=") for line in log.splitlines()), log


async def test_a_stop_takes_five_seconds_whatever_hangs(
    fields: list[Field], here: Settings, admin: psycopg.Connection, started: list[Worker]
) -> None:
    started.append(worker := Worker(here, two_servers(fields[0].port, fields[1].port)))
    await eventually(lambda: worker.get("/readyz")[0], 200, 30)
    # The landing hangs in Postgres, as on a lock of someone's.
    with psycopg.connect(admin.info.dsn, password=admin.info.password) as other:
        other.execute("LOCK TABLE raw.sensor_events, raw.tag_latest IN ACCESS EXCLUSIVE MODE")
        await fields[0].write("T", 1.0, datetime.now(UTC))
        await eventually(lambda: (worker.figure("millwright_spool_bytes", "one") or 0) > 0, True)
        await asyncio.sleep(0.5)
        worker.process.send_signal(signal.SIGTERM)
        # The lock isn't let go before: without its own deadline the worker would wait for ever.
        assert await asyncio.to_thread(worker.process.wait, STOP_S) == 0
    assert landed(admin) == []
    started.append(Worker(here, two_servers(fields[0].port, fields[1].port)))
    await eventually(lambda: landed(admin), [1.0], 30)  # it was in the spool


async def test_workers_share_a_plant_and_a_server_has_one(
    fields: list[Field],
    here: Settings,
    warehouse: Settings,
    admin: psycopg.Connection,
    started: list[Worker],
    tmp_path: Path,
) -> None:
    plant = two_servers(fields[0].port, fields[1].port)
    elsewhere = tmp_path / "elsewhere"  # another machine's folder: only Postgres can tell
    elsewhere.mkdir()
    other = settings_in(warehouse, elsewhere)
    started += [Worker(here, plant, "--server", "one"), Worker(other, plant, "--server", "two")]
    for worker in started:
        await eventually(lambda worker=worker: worker.get("/readyz")[0], 200, 30)
    # A worker is ready once it is connected; the landing after that one tells Postgres.
    await eventually(lambda: state(admin), {"one": "connected", "two": "connected"})
    port = started[0].port()
    assert port is not None
    refused = [
        Worker(other, plant, "--server", "one"),  # as on another machine: Postgres tells
        Worker(here, plant, "--server", "one"),  # on the same machine the spool tells
        Worker(other, plant, "--server", "one", port=port),
    ]
    started += refused
    assert [await asyncio.to_thread(worker.process.wait, 30) for worker in refused] == [2, 2, 2]
    by_postgres, by_spool, by_port = (worker.log.read_text().splitlines()[-1] for worker in refused)
    assert re.fullmatch(
        r"server 'one' is being collected by another worker \(\S+, process \d+\); stop that one,"
        r" or give each its own with --server", by_postgres
    ), by_postgres  # fmt: skip
    assert "another worker collects this server" in by_spool
    assert by_port.startswith(f"port {port} on 127.0.0.1 is taken")
    assert started[0].process.poll() is None

    # A killed worker leaves nothing that has to be waited out, and says nothing any more.
    started[0].process.kill()
    started.append(heir := Worker(here, plant, "--server", "one"))
    await eventually(lambda: heir.get("/readyz")[0], 200, 30)


def test_a_worker_that_was_killed_leaves_its_tags_uncertain(admin: psycopg.Connection, here: Settings) -> None:
    admin.execute(
        "INSERT INTO raw.servers (server, url, worker, connected_since, confirmed_at)"
        " VALUES ('one', 'opc.tcp://x', 'w', %s, clock_timestamp() - interval '31 s')",
        (datetime.now(UTC) - timedelta(hours=1),),
    )
    assert state(admin) == {"one": "not collected"}
    (row,) = admin.execute("SELECT since = confirmed_at FROM serving.server_state").fetchall()
    assert row == (True,)


async def test_a_worker_that_starts_while_postgres_is_away_collects(fields: list[Field], open_folder: Path) -> None:
    settings = Settings(var=open_folder, postgres_port=free_port())
    plant = two_servers(fields[0].port, fields[1].port)
    with postgres.running(settings):
        await asyncio.to_thread(migrate, settings)
        ids = sync_plant(settings, plant, datetime.now(UTC)).tag_ids
    remember(settings.var / "spool", plant, ids)
    stop, health = asyncio.Event(), Health()
    running = asyncio.create_task(collect(settings, plant, ["one", "two"], stop, health=health))
    try:
        await eventually(lambda: [watch.sample().connected for watch in health.watches], [True, True])
        await fields[0].write("T", 1.0, datetime.now(UTC))
        await eventually(lambda: health.watches[0].sample().spool_bytes > 0, True)
        # Values may come before the first landing has failed.
        await eventually(lambda: "Postgres takes nothing" in health.ready()[1]["servers"]["one"], True)
        with postgres.running(settings):
            with connect(settings, Role.ADMIN, autocommit=True) as admin:
                await eventually(lambda: landed(admin), [1.0])
            await eventually(lambda: health.ready()[0], True)
            stop.set()
            await asyncio.wait_for(running, 10)
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)
