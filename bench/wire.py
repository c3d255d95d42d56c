"""The wire: values/s from encoded PublishResponses to committed rows, beside a tutorial's client on the same stub.

    python -m bench.wire

A stub server in its own process replays notifications of 1,000 values as fast as they are taken. The product's worker
(session, spool, landing with key, partitions, limits and ledger) and a plain asyncua subscription with `executemany`
take turns; time runs from the first notification sent to the last row committed. The stub's own ceiling is that of a
client that reads and throws away. Then the worker is sent 80 % of the 40,000 values/s expected, and 80 % of what
it took, for the lag from source time to commit by Postgres' own account (track_commit_timestamp).
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import typer
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import header_from_binary, struct_from_binary, struct_to_binary, uatcp_to_binary

from bench.plant import NAMESPACE, made_up_plant
from bench.programs import await_port, program, write_plant
from bench.stub import NAMESPACES
from bench.throwaway import throwaway_warehouse
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import HOME, Settings

TAGS: Final = 1_000
# Seconds of work, so that flushes and checkpoints have their share.
NOTIFICATIONS: Final = 1_000
EXPECTED: Final = 40_000
TUTORIAL_NOTIFICATIONS: Final = 20
CEILING_NOTIFICATIONS: Final = 2_000
SHARE: Final = 0.8
LAG_S: Final = 10.0
_IN_FLIGHT: Final = 8
_PATIENCE_S: Final = 60.0
_LANDED: Final = "SELECT coalesce(min(source_ts) >= %s AND count(*) = %s, false) FROM raw.tag_latest"
_COUNT: Final = "SELECT count(*) FROM raw.sensor_events WHERE source_ts BETWEEN %s AND %s"
_LAG: Final = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
    ORDER BY extract(EPOCH FROM pg_xact_commit_timestamp(landed_xid::xid) - source_ts))
FROM raw.sensor_events WHERE source_ts BETWEEN %s AND %s
"""


class Stub:
    """The stub server's process, told what to send."""

    def __init__(self, port: int) -> None:
        self.url = f"opc.tcp://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.stub", str(port), str(TAGS)],
            cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        await_port(port, self.process)

    def start(self, notifications: int, rate: float = 0.0) -> None:
        """Have it send; `rate` in values/s, 0 for as many as are taken."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{notifications} {rate}\n".encode())
        self.process.stdin.flush()

    def sent(self) -> tuple[datetime, datetime, float]:
        """The source times of the first and last notification, and the seconds that sending took; waits for the end."""
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        return _moment(told["first_us"]), _moment(told["last_us"]), told["seconds"]


def _moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


@contextmanager
def stub() -> Iterator[Stub]:
    """A stub server for the length of the block."""
    made = Stub(free_port())
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def measure(rounds: int, quick: bool) -> dict[str, float]:
    """Medians over `rounds`: values/s of the worker, of the tutorial's client and of the stub alone, and the lag."""
    count = NOTIFICATIONS // 20 if quick else NOTIFICATIONS
    with throwaway_warehouse("track_commit_timestamp = on") as settings:
        ceiling = statistics.median(_ceiling(CEILING_NOTIFICATIONS // (10 if quick else 1)) for _ in range(rounds))
        with stub() as ours, stub() as theirs, connect(settings, Role.ADMIN, autocommit=True) as admin:
            admin.execute(
                "CREATE TABLE tutorial (node text, source_ts timestamptz, value double precision, status bigint,"
                " PRIMARY KEY (node, source_ts))"
            )
            plant = _plant_file(settings, "worker", ours)
            other = _plant_file(settings, "tutorial", theirs)
            with (
                program("ingest", "run", "--plant", str(plant), settings=settings),
                program("bench.tutorial", str(other), str(NAMESPACES.index(NAMESPACE)), settings=settings),
            ):
                figures = _turns(admin, ours, theirs, rounds, count)
                seconds = 2.0 if quick else LAG_S
                easy = _lag(admin, ours, SHARE * EXPECTED, seconds)
                figures |= {f"expected_{key}": value for key, value in easy.items()}
                figures |= _lag(admin, ours, SHARE * figures["values_per_s"], seconds)
    return figures | {
        "ratio": figures["values_per_s"] / figures["asyncua_values_per_s"],
        "stub_values_per_s": ceiling,
    }


def _plant_file(settings: Settings, name: str, server: Stub) -> Path:
    return write_plant(made_up_plant(TAGS, server.url, publishing_interval_ms=100), settings.var / f"{name}.yml")


def _turns(admin: psycopg.Connection, ours: Stub, theirs: Stub, rounds: int, count: int) -> dict[str, float]:
    worker: list[float] = []
    tutorial: list[float] = []
    lost = tutorial_lost = 0
    few = max(1, min(TUTORIAL_NOTIFICATIONS, count // 2))
    for number in range(rounds + 1):
        ours.start(count)
        first, last, _ = ours.sent()
        seconds = _until(first, partial(_is_true, admin, _LANDED, (last, TAGS)))
        lost += count * TAGS - _number(admin, _COUNT, (first, last))
        theirs.start(few)
        begun, _, _ = theirs.sent()
        tutorial_seconds = _until(begun, lambda: _number(admin, "SELECT count(*) FROM tutorial", ()) == few * TAGS)
        tutorial_lost += few * TAGS - _number(admin, "SELECT count(*) FROM tutorial", ())
        admin.execute("TRUNCATE tutorial")
        if number:  # the first warms up: partitions, caches, plans
            worker.append(count * TAGS / seconds)
            tutorial.append(few * TAGS / tutorial_seconds)
    return {
        "values_per_s": statistics.median(worker),
        "lost": float(lost),
        "asyncua_values_per_s": statistics.median(tutorial),
        "asyncua_lost": float(tutorial_lost),
    }


def _lag(admin: psycopg.Connection, ours: Stub, rate: float, seconds: float) -> dict[str, float]:
    count = int(rate * seconds / TAGS)
    ours.start(count, rate)
    first, last, _ = ours.sent()
    _until(first, lambda: _is_true(admin, _LANDED, (last, TAGS)))
    row = admin.execute(_LAG, (first, last)).fetchone()
    assert row is not None
    return {
        "lag_at_values_per_s": rate,
        "lag_p50_s": row[0][0],
        "lag_p99_s": row[0][1],
        "lag_lost": float(count * TAGS - _number(admin, _COUNT, (first, last))),
    }


def _until(begun: datetime, done: Callable[[], bool]) -> float:
    """Seconds from `begun` until it is done. Raises TimeoutError where that doesn't come."""
    until = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"what was sent had not landed after {_PATIENCE_S:.0f} s")
        time.sleep(0.01)
    return (datetime.now(UTC) - begun) / timedelta(seconds=1)


def _number(admin: psycopg.Connection, query: str, values: tuple[Any, ...]) -> int:
    row = admin.execute(query, values).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


def _is_true(admin: psycopg.Connection, query: str, values: tuple[Any, ...]) -> bool:
    return bool(_number(admin, query, values))


def _ceiling(count: int) -> float:
    """Values/s of a client that keeps asking and throws away what it is answered."""
    with stub() as server, socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
        channel = SecureConnection(SecurityPolicyNone(), TransportLimits())
        read = connection.makefile("rb").read

        def receive() -> bytes:
            head = read(8)
            return head + read(int.from_bytes(head[4:8], "little") - 8)

        def send(request: Any, number: int, kind: ua.MessageType = ua.MessageType.SecureMessage) -> None:
            encoded = struct_to_binary(request)
            connection.sendall(channel.message_to_binary(encoded, message_type=kind, request_id=number))

        connection.sendall(uatcp_to_binary(ua.MessageType.Hello, ua.Hello(0, 65536, 65536, 0, 0, server.url)))
        receive()
        opening = ua.OpenSecureChannelRequest()
        opening.Parameters.RequestType = ua.SecurityTokenRequestType.Issue
        opening.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        send(opening, 1, ua.MessageType.SecureOpen)
        message = Buffer(receive())
        opened = channel.receive_from_header_and_body(header_from_binary(message), message)
        answer = struct_from_binary(ua.OpenSecureChannelResponse, opened.body())
        channel.set_channel(answer.Parameters, ua.SecurityTokenRequestType.Issue, b"")
        wanted = ua.CreateMonitoredItemsRequest()
        for handle in range(1, TAGS + 1):
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = ua.NodeId(handle, 2)
            item.RequestedParameters.ClientHandle = handle
            wanted.Parameters.ItemsToCreate.append(item)
        send(wanted, 2)
        receive()
        for number in range(_IN_FLIGHT):
            send(ua.PublishRequest(), 3 + number)
        server.start(count)
        for number in range(count):
            receive()
            if number + _IN_FLIGHT < count:
                send(ua.PublishRequest(), 3 + _IN_FLIGHT + number)
        return count * TAGS / server.sent()[2]


def main(rounds: int = 5, quick: bool = False) -> None:
    for key, value in measure(rounds, quick).items():
        typer.echo(f"{key:24} {value:14,.3f}")


if __name__ == "__main__":
    typer.run(main)
