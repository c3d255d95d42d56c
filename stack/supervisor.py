"""Starts, watches and stops the processes of the Procfile.

The file is read by honcho, and `honcho start` runs it too (in the environment of `python -m stack env`). Honcho's own
manager stops everything at once and kills after five seconds; here Postgres has to outlive those that write to
it, each process has a log file of its own, and nothing may be left behind.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from honcho.environ import parse_procfile

from stack.errors import StackError
from warehouse.settings import HOME

PROCFILE = HOME / "Procfile"
PR_SET_PDEATHSIG = 1
GRACE_S = 20.0
# What ends sooner after its start has something wrong that another start won't mend.
SETTLED_S = 60.0
# Who is stopped after all others, in this order: tasks report to the API server, everything writes to Postgres.
STOPPED_LATE = (("airflow-api-server", "mlflow", "plant"), ("postgres",))


def procfile(path: Path = PROCFILE) -> dict[str, str]:
    """Name -> command, in the file's order."""
    return dict(parse_procfile(path.read_text()).processes)


def _dies_with_parent() -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        os.setsid()
        # Kept over exec: a killed supervisor must not leave its processes behind.
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


def spawn(
    command: str, environment: Mapping[str, str], log: Path, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Run a shell command line in a session of its own, output appended to `log`; it dies with the caller."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=HOME, env={**os.environ, **environment}, preexec_fn=_dies_with_parent(),
            stdin=stdin, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, for an error message."""
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Supervisor:
    """The running processes. Used from one thread, the main one: a child dies with the thread that started it."""

    commands: Mapping[str, str]
    environment: Mapping[str, str]
    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    seen: set[psutil.Process] = field(default_factory=set)
    strangers: frozenset[psutil.Process] = field(default_factory=lambda: frozenset(psutil.Process().children()))
    """children that were there before, and are none of ours"""
    _looked: float = -math.inf
    _started: dict[str, float] = field(default_factory=dict)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def start(self, *names: str) -> None:
        """Start the named processes that don't run yet."""
        for name in names:
            if name not in self.running:
                self.running[name] = spawn(self.commands[name], self.environment, self.log(name))
                self._started[name] = time.monotonic()

    def check(self, settled: float = math.inf) -> list[str]:
        """Raise if a process has ended: which one, with what code, and the end of its log.

        One that had run for `settled` seconds is started again, in words in what is returned: a plant's readings must
        not stop because the model registry did. Not Postgres, on which all others stand.
        """
        # A look at every process of the machine, and this is asked ten times a second while the stack is prepared.
        if time.monotonic() - self._looked > 1:
            self.descendants()
            self._looked = time.monotonic()
        told = []
        for name, child in list(self.running.items()):
            if (code := child.poll()) is None:
                continue
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            if name == "postgres" or time.monotonic() - self._started[name] < settled:
                raise StackError(f"{name} {how}; the end of {self.log(name)}:\n{tail(self.log(name))}")
            # A server's workers outlive it, and hold its port.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            del self.running[name]
            self.start(name)
            told.append(f"{name} {how} and is started again; its log is {self.log(name)}")
        return told

    def descendants(self) -> set[psutil.Process]:
        """Every process of ours below this one, and those seen before that still live (a parent may have died)."""
        theirs = {process for stranger in self.strangers for process in _family(stranger.pid)}
        living = {process for process in self.seen if process.is_running()}
        self.seen = living | set(psutil.Process().children(recursive=True)) - theirs
        return self.seen

    def stop(self, grace: float = GRACE_S) -> None:
        """Stop all, Postgres last: SIGTERM, then SIGKILL after `grace` seconds; nothing is left when it returns."""
        late = [name for wave in STOPPED_LATE for name in wave]
        first = tuple(name for name in self.running if name not in late)
        for wave in (first, *STOPPED_LATE):
            self._stop(tuple(name for name in wave if name in self.running), grace)
        leave_none(self.seen)

    def _stop(self, names: tuple[str, ...], grace: float) -> None:
        family = {p for name in names for p in _family(self.running[name].pid)}
        self.seen |= family
        for name in names:
            if self.running[name].poll() is None:
                self.running[name].terminate()
        deadline = time.monotonic() + grace
        for name in names:
            child = self.running[name]
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        leave_none(family)
        for name in names:
            del self.running[name]


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def leave_none(processes: Iterable[psutil.Process], grace: float = 5.0) -> None:
    """End what is left of a family whose head is gone: SIGTERM, then SIGKILL after `grace` seconds."""
    alive = [p for p in processes if p.is_running() and p.pid != os.getpid()]
    for step in ("terminate", "kill"):
        for process in alive:
            try:
                getattr(process, step)()
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(alive, timeout=grace)
        if not alive:
            return
    raise StackError(f"could not end process {', '.join(str(p.pid) for p in alive)}")


def memory_mb(processes: Iterable[psutil.Process]) -> float:
    """Memory of a process tree in MB: PSS, which counts a shared page once, where Linux tells; else RSS."""
    total = 0
    for process in processes:
        try:
            total += _pss(process.pid) or process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total / 1e6


def _pss(pid: int) -> int:
    # psutil adds up the whole of smaps, which takes a hundred times as long.
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
