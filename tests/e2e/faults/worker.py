"""The collector as a plant runs it: `python -m ingest run` in a process of its own, to be killed and frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.e2e.faults.counters import HZ, POISON, TAGS
from warehouse.settings import HOME, Settings

PUBLISHING_MS = 500
SERVER = "field"


def node(tag: int) -> str:
    """The node of a counter as plant.yml names it."""
    return "nsu={};s={}".format(*TAGS[tag])


def write_plant(
    path: Path,
    port: int,
    *,
    sampling_ms: int = 1000 // HZ,
    poison: bool = False,
    session_timeout_s: int = 30,
    queue_size: int | None = None,
) -> None:
    """A plant file with the counters on `port`."""
    tags = [
        {"node": node(tag), "measurement": f"counter_{tag}", "role": "counter", "data_type": "integer",
         "sampling_interval_ms": sampling_ms, "queue_size": queue_size}
        for tag in range(len(TAGS))
    ]  # fmt: skip
    if poison:
        tags += [
            {
                "node": f"nsu={TAGS[0][0]};s={name}",
                "measurement": name.lower(),
                "role": "counter",
                "data_type": "integer",
            }
            for name, _, _ in POISON
        ]
    server = {
        "url": f"opc.tcp://127.0.0.1:{port}",
        "publishing_interval_ms": PUBLISHING_MS,
        "session_timeout_s": session_timeout_s,
    }
    machine = {"name": "Counter", "type": "counter", "server": SERVER, "tags": tags}
    plant = {
        "plant_id": "FAULTS",
        "name": "Fault matrix",
        "timezone": "UTC",
        "servers": {SERVER: server},
        "equipment": {"COUNTER": machine},
    }
    path.write_text(yaml.safe_dump(plant))


class Worker:
    """One collector of the warehouse of `settings`; its state is under `settings.var`."""

    def __init__(self, settings: Settings, plant: Path, spool_gb: float) -> None:
        self.log = settings.var / "worker.log"
        self._plant = plant
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
            "MILLWRIGHT_VAR": str(settings.var),
            "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port),
            "MILLWRIGHT_METRICS_PORT": "0",
            "MILLWRIGHT_SPOOL_GB": str(spool_gb),
            "PGDATABASE": settings.pgdatabase,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ingest", "run", "--plant", str(self._plant)],
                cwd=HOME,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no line of its code runs any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def stop(self) -> float:
        """SIGTERM; returns the seconds until it was gone. Killed after 20."""
        assert self._process is not None
        began = time.monotonic()
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        finally:
            self.kill()
        return time.monotonic() - began
