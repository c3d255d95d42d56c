"""The worker's page: alive, ready, counted, and clear about a port that is taken."""

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import IngestError
from ingest.health import Health, Page
from ingest.landing.spool import Spool
from ingest.watch import Watch


@dataclass
class Link:
    connected_tags: int = 0
    reconnects: int = 0
    clock_skew_s: float | None = None
    reason: str | None = None
    missing: int = 0


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[list[Spool]]:
    made = [Spool(tmp_path / name, 10**6) for name in ("a", "b")]
    yield made
    for spool in made:
        spool.close()


def get(page: Page, path: str, method: str = "GET") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    is_json = "json" in (response.getheader("Content-Type") or "")
    return response.status, json.loads(body) if is_json and body else body.decode()


def test_ready_is_every_server_connected_and_landing(spools: list[Spool]) -> None:
    health = Health()
    links = [Link(connected_tags=3), Link(reason="BadTimeout")]
    watches = [Watch(name, "opc.tcp://x", spool, link) for name, spool, link in zip("ab", spools, links, strict=True)]
    with Page(health, "127.0.0.1", 0) as page:
        assert get(page, "/readyz") == (503, {"ready": False, "waiting_for": "starting", "servers": {}})
        health.wait_for("Postgres")
        assert get(page, "/readyz")[1]["waiting_for"] == "Postgres"
        health.watch(watches)
        for watch in watches:
            watch.trouble = None
        status, body = get(page, "/readyz")
        assert (status, body["servers"]) == (503, {"a": "ok", "b": "not connected: BadTimeout"})
        links[1].connected_tags = 1
        assert get(page, "/readyz") == (200, {"ready": True, "waiting_for": None, "servers": {"a": "ok", "b": "ok"}})
        watches[0].trouble = "Postgres takes nothing: ReadOnlySqlTransaction"
        assert get(page, "/readyz")[0] == 503
        status, text = get(page, "/metrics")
        assert status == 200
        assert 'millwright_connected{server="b"} 1.0' in text
        assert 'millwright_landing{server="a"} 0.0' in text


def test_alive_is_an_event_loop_that_turns() -> None:
    now = [100.0]
    health = Health(lambda: now[0])
    with Page(health, "127.0.0.1", 0) as page:
        now[0] = 114.0
        assert get(page, "/healthz")[0] == 200
        now[0] = 116.0
        assert get(page, "/healthz") == (503, {"alive": False, "event_loop_silent_s": 16.0})
        health.beat()
        assert get(page, "/healthz")[0] == 200


def test_what_is_not_there_is_said_and_nothing_hangs() -> None:
    with Page(Health(), "127.0.0.1", 0) as page:
        status, body = get(page, "/etc/passwd?x=1")
        assert (status, body["paths"]) == (404, ["/metrics", "/healthz", "/readyz"])
        assert get(page, "/healthz", "HEAD") == (200, "")
        assert get(page, "/healthz", "POST")[0] == 501
        with socket.create_connection(("127.0.0.1", page.port)):  # says nothing, and holds up no other
            assert get(page, "/healthz")[0] == 200


def test_a_taken_port_is_named_with_its_setting() -> None:
    with Page(Health(), "127.0.0.1", 0) as page:
        wanted = rf"port {page.port} on 127.0.0.1 is taken .*another worker.*MILLWRIGHT_METRICS_PORT"
        with pytest.raises(IngestError, match=wanted):
            Page(Health(), "127.0.0.1", page.port)
    with Page(Health(), "127.0.0.1", page.port):
        pass
