"""A worker's page for those who watch it: /metrics for Prometheus, /healthz and /readyz for a supervisor."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ingest.errors import IngestError
from ingest.metrics import registry_of
from ingest.watch import Watch

# An event loop that has not turned for so long hangs: restarting the worker is the cure.
_HANGS_S: Final = 15.0
_PATIENCE_S: Final = 5.0
_JSON: Final = "application/json; charset=utf-8"


class Health:
    """What the worker says of itself. The event loop calls `beat`; the answers come from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beaten = clock()
        self._watches: tuple[Watch, ...] = ()
        self._waiting: str | None = "starting"

    def beat(self) -> None:
        """The event loop turns."""
        self._beaten = self._clock()

    def wait_for(self, what: str | None) -> None:
        """The worker collects nothing before `what` is there; None: it is."""
        self._waiting = what

    def watch(self, watches: Iterable[Watch]) -> None:
        """These are the collectors."""
        self._watches, self._waiting = tuple(watches), None

    @property
    def watches(self) -> tuple[Watch, ...]:
        """The collectors as they are seen, in the order of their servers."""
        return self._watches

    def replace(self, watch: Watch) -> None:
        """A collector has begun again."""
        server = watch.metrics.server
        self._watches = tuple(watch if known.metrics.server == server else known for known in self._watches)

    def observe(self, now_s: float) -> None:
        """Let each collector look at its spool and clock at `now_s` (monotonic)."""
        for watch in self._watches:
            watch.observe(now_s)

    def registry(self) -> CollectorRegistry:
        """The figures of all collectors and of the process."""
        return registry_of(lambda: [(watch.metrics, watch.sample()) for watch in self._watches])

    def alive(self) -> tuple[bool, dict[str, Any]]:
        """Whether the worker turns at all: a restart mends what isn't."""
        silent = self._clock() - self._beaten
        return silent < _HANGS_S, {"alive": silent < _HANGS_S, "event_loop_silent_s": round(silent, 1)}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether every server is connected and lands; a restart mends nothing that isn't."""
        servers = {watch.metrics.server: watch.sample().trouble for watch in self._watches}
        ready = self._waiting is None and all(trouble is None for trouble in servers.values())
        states = {name: trouble or "ok" for name, trouble in servers.items()}
        return ready, {"ready": ready, "waiting_for": self._waiting, "servers": states}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # HTTPServer would ask the name service who this machine is, which may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that hangs up in the middle is no event of the worker's."""


class Page:
    """Serves `health` on `bind`:`port` for the length of a block; port 0 takes any free one, told in `port`.

    Raises IngestError where the port is taken.
    """

    def __init__(self, health: Health, bind: str, port: int) -> None:
        self._routes = {"/healthz": health.alive, "/readyz": health.ready}
        self._registry = health.registry()
        server = type("Server", (_Server,), {"address_family": socket.AF_INET6 if ":" in bind else socket.AF_INET})
        try:
            self._server = server((bind, port), self._handler())
        except OSError as error:
            raise IngestError(
                f"port {port} on {bind} is taken ({error.strerror}), perhaps by another worker's metrics:"
                " set MILLWRIGHT_METRICS_PORT to another, or to 0 for any free one"
            ) from error
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            timeout = _PATIENCE_S

            def do_GET(self) -> None:
                status, kind, body = answer(self.path, self.headers.get("Accept", ""))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: a scrape is no event."""

        return Handler

    def _answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        path = path.partition("?")[0]
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return 200, kind, encode(self._registry)
        if (route := self._routes.get(path)) is not None:
            good, body = route()
            return (200 if good else 503), _JSON, json.dumps(body).encode() + b"\n"
        known = ["/metrics", *self._routes]
        return 404, _JSON, json.dumps({"error": f"{path} isn't here", "paths": known}).encode() + b"\n"
