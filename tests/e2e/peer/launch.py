"""node-opcua as the other side: installed from its own lock, run as a process, told what to do line by line.

The server needs Node 22; the packages that npm's `node` would fetch by a script are in the lock themselves.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import queue
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from warehouse.settings import HOME

FOLDER = Path(__file__).parent
INSTALLED = HOME / "var" / "peer"
_UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")


def install() -> Path:
    """The folder of `node_modules`, installed once for each change of the lock; skips where that can't be done."""
    lock = (FOLDER / "package-lock.json").read_bytes()
    folder = INSTALLED / hashlib.sha256(lock).hexdigest()[:12]
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not folder.exists():
            _install(folder)
    return folder / "node_modules"


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: it brings node-opcua, the independent OPC UA server of these tests")
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FOLDER / name, fresh)
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=fresh, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        if done.returncode != 0 and any(code in done.stderr for code in _UNREACHABLE):
            pytest.skip(
                "the npm registry can't be reached, and node-opcua, the independent server, isn't installed yet"
            )
        assert done.returncode == 0, done.stderr
        Path(fresh).rename(folder)
        Path(fresh).mkdir()  # what TemporaryDirectory removes


def node(modules: Path) -> str:
    """A Node of 22 or later: the one of the lock, else this machine's own."""
    for candidate in (str(modules / ".bin" / "node"), shutil.which("node")):
        if candidate is None or not Path(candidate).exists():
            continue
        version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.lstrip("v").split(".")[0]) >= 22:
            return candidate
    pytest.skip("no Node.js 22 for this platform, which node-opcua needs")


class Peer:
    """A server process; `config` is that of server.js. Its port and its certificates outlive a restart."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder = folder
        self.config = {"folder": str(folder), **config}
        self.url = ""
        self.certificate = Path()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Peer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it serves."""
        assert self._process is None, "is running"
        modules = install()
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "peer.json"
        file.write_text(json.dumps(self.config))
        self._process = subprocess.Popen(
            [node(modules), str(FOLDER / "server.js"), str(file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"NODE_PATH": str(modules), "HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True)
        self._reader.start()
        ready = self._next(60)
        self.url, self.certificate = ready["url"], Path(ready["certificate"])
        self.config["port"] = int(self.url.rpartition(":")[2])

    def do(self, command: str, wait_s: float = 30, **what: Any) -> dict[str, Any]:
        """Have the server do something, and return its answer; the commands are those of server.js."""
        self.ask(command, **what)
        return self._next(wait_s)

    def ask(self, command: str, **what: Any) -> None:
        """Say what to do without waiting for it; the next `do` would read this one's answer."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **what}) + "\n")
        self._process.stdin.flush()

    def answer(self, wait_s: float = 30) -> dict[str, Any]:
        """The answer to what was asked."""
        return self._next(wait_s)

    def stop(self) -> None:
        """Shut down in order: clients are told."""
        assert self._process is not None
        self.ask("stop")
        self._process.wait(30)
        self._closed()

    def kill(self) -> None:
        """Gone without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._closed()

    def _closed(self) -> None:
        assert self._process is not None and self._reader is not None
        self._reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None

    def _next(self, wait_s: float) -> dict[str, Any]:
        line = json.loads(self._lines.get(timeout=wait_s))
        assert "error" not in line, line["error"]
        return dict(line)

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):  # the library prints words of its own
                lines.put(line)
