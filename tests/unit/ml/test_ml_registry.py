"""What a registry may answer over HTTP, and what is made of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ml import registry
from ml.errors import RegistryError
from tests.conftest import free_port
from warehouse.settings import Settings

HEAD = b"HTTP/1.0 200 OK\r\n"
CHAMPION = HEAD + b'\r\n{"registered_model": {"aliases": [{"alias": "champion", "version": "3"}]}}'
NOTHING = b'HTTP/1.0 404 Not Found\r\n\r\n{"error_code": "RESOURCE_DOES_NOT_EXIST"}'


class Server(ThreadingHTTPServer):
    """Answers everything with `answer`."""

    answer = CHAMPION


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's output."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), _Handler) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{one.server_port}")
        yield one
        one.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b'Content-Length: 500\r\n\r\n{"registered_model": {"ali',
        HEAD + b"\r\n<html>starting</html>",
        HEAD + b"\r\n{}",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\n\r\nno route",
        b"HTTP/1.0 404 Not Found\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.0 503 Service Unavailable\r\n\r\n",
    ],
    ids=["breaks off", "a page", "other json", "no http", "a proxy's 404", "a 404 that breaks off", "503"],
)
def test_what_does_not_answer_as_a_registry_is_away_and_makes_nothing_forgotten(
    server: Server, tmp_path: Path, answer: bytes
) -> None:
    settings = Settings(var=tmp_path)
    assert registry.aliases(settings) == registry.Aliases({"champion": "3"}, registry_away=False)
    server.answer = answer
    for _ in range(2):
        assert registry.aliases(settings) == registry.Aliases({"champion": "3"}, registry_away=True)
    with pytest.raises(RegistryError):
        registry.ask(settings)


def test_a_registry_that_has_nothing_says_so(server: Server, tmp_path: Path) -> None:
    server.answer = NOTHING
    settings = Settings(var=tmp_path)
    assert registry.ask(settings) == registry.aliases(settings) == registry.Aliases({}, registry_away=False)


def test_two_processes_that_keep_a_version_at_once_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one's is there by when this one moves its own."""
    bundle, settings = tmp_path / "given.skops", Settings(var=tmp_path)
    bundle.write_bytes(b"a bundle")
    card: Any = SimpleNamespace(arrays=lambda: {"contract": np.array("ours")})
    registry.keep(settings, "7", bundle, "digest", card)
    place, remove = registry.folder(settings, "7"), shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **how: None if path == place else remove(path, **how))
    registry.keep(settings, "7", bundle, "digest", card)
    assert [path.name for path in place.parent.iterdir()] == ["7"]
    assert (place / registry.BUNDLE).read_bytes() == b"a bundle"


def test_what_reads_a_version_asks_once_whether_the_registry_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own client tries again for minutes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    settings = Settings(var=tmp_path)
    for reads in (
        lambda: registry.sample_of(settings, "run"),
        lambda: registry.describe(settings, "1", "run", tmp_path, "card"),
        lambda: registry.load(settings, "1"),
        lambda: registry.require(settings),
    ):
        with pytest.raises(RegistryError, match="Connection refused"):
            reads()
