"""The plant's side of a fault: the counter server as a process, and its log read back as what was offered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.faults.counters import TAGS
from tests.e2e.peer.launch import install, node
from warehouse.server import free_port
from warehouse.settings import HOME


@dataclass(frozen=True)
class Launch:
    """How a counter server is started: `command` is run with --port, --log and the flags; `name` is its column."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


ASYNCUA = Launch("asyncua", (sys.executable, str(Path(__file__).with_name("counters.py"))))


def node_opcua() -> Launch:
    """The counters on an independent server; skips where it can't be installed."""
    modules = install()
    script = str(Path(__file__).with_name("counters.js"))
    return Launch("node-opcua", (node(modules), script), (("NODE_PATH", str(modules)),))


class Field:
    """A counter server that can be killed, frozen, restarted and told things."""

    def __init__(self, folder: Path, launch: Launch = ASYNCUA, *flags: str) -> None:
        self.port = free_port()
        self.log = folder / "ticks.jsonl"
        self.name = launch.name
        self._launch = launch
        self._flags = flags
        self._errors = folder / "field.err"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        """Start and return when it listens."""
        starts = len(self.events("started"))
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*self._launch.command, "--port", str(self.port), "--log", str(self.log), *self._flags, *flags],
                cwd=HOME,
                env=os.environ | {"PYTHONPATH": str(HOME)} | dict(self._launch.environment),
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
            )
        self._until(lambda: len(self.events("started")) > starts, 120)

    def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert self._process is not None and self._process.poll() is None, self._errors.read_text()
            assert time.monotonic() < deadline, f"the counter server is silent\n{self._errors.read_text()}"
            time.sleep(0.05)

    def tell(self, command: str, *arguments: int) -> None:
        """Send a command and return when it is done."""
        assert self._process is not None and self._process.stdin is not None
        done = len(self.events(command))
        self._process.stdin.write(" ".join([command, *map(str, arguments)]).encode() + b"\n")
        self._process.stdin.flush()
        self._until(lambda: len(self.events(command)) > done, 10)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process = None

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; a last line that is still being written is left for later."""
        if not self.log.exists():
            return []
        text = self.log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def events(self, *names: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("event") in names]

    def offered(self) -> list[list[int]]:
        """The ticks that each tag was given, in order."""
        ticks: list[list[int]] = [[] for _ in TAGS]
        for line in self.lines():
            for tag in line.get("tags", ()):
                ticks[tag].append(line["tick"])
        return ticks
