"""The programs that a benchmark runs beside itself: the product's worker and an OPC UA server for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import yaml

from ingest.plant import Plant
from warehouse.settings import HOME, Settings

_NOT_HERE = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD")


def write_plant(plant: Plant, path: Path) -> Path:
    """The plant as a plant file."""
    path.write_text(yaml.safe_dump(plant.model_dump(mode="json", exclude_unset=True), allow_unicode=True))
    return path


@contextmanager
def program(*arguments: str, settings: Settings | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m ARGUMENTS` for the length of the block, on the warehouse of `settings`; its log is the caller's.

    Raises RuntimeError where it ends by itself.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_HERE}
    environment["MILLWRIGHT_METRICS_PORT"] = "0"
    if settings is not None:
        environment |= {
            "MILLWRIGHT_VAR": str(settings.var),
            "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port),
        }
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=HOME, env=environment, stdout=sys.stderr)
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"python -m {' '.join(arguments)} ended by itself, with {process.returncode}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_port(port: int, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    """Return once something listens at `port` of this machine; raises RuntimeError when `process` ends before."""
    until = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens at port {port}")


def await_landing(admin: psycopg.Connection, tags: int, seconds: float) -> None:
    """Return once most of `tags` land as they change; raises RuntimeError when they don't within `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        query = "SELECT count(*) FROM raw.tag_latest WHERE source_ts > clock_timestamp() - interval '1.5 s'"
        row = admin.execute(query).fetchone()
        if row is not None and row[0] > tags // 2:
            return
        time.sleep(0.2)
    raise RuntimeError("the worker doesn't land what changes")
