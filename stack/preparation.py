"""Makes an installation ready before its processes start: what is done is done once, what was cut short is resumed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from stack.environment import environment
from stack.errors import StackError
from stack.steps import STEPS, progress_file
from stack.supervisor import leave_none, spawn, tail
from warehouse.roles import Role, connect
from warehouse.settings import Settings

# Steps at a time: two cores.
PARALLEL = 2


@dataclass
class Preparation:
    """One run of the steps. `done` hears of each step as it is finished, in this thread."""

    settings: Settings
    demo: bool
    history_days: int
    done: Callable[[str], None] = lambda name: None
    tick: Callable[[], object] = lambda: None
    console: Console = field(default_factory=lambda: Console(stderr=True))

    @property
    def path(self) -> Path:
        return self.settings.var / "prepared.json"

    def run(self, late: bool = False) -> dict[str, float]:
        """Run the steps that are not done, side by side where they can; returns seconds a step. Needs Postgres.

        The `late` steps are a run of their own, after the others.
        """
        record = self._record()
        wanted = [name for name, step in STEPS.items() if step.late == late and (self.demo or not step.demo)]
        finished = {name for name in wanted if self._is_done(record, name)}
        for name in wanted:
            if name in finished:
                self.done(name)
        seconds: dict[str, float] = {}
        columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        running: dict[str, tuple[subprocess.Popen[bytes], float, TaskID]] = {}
        held: dict[str, subprocess.Popen[bytes]] = {}
        stages: dict[str, list[str]] = {}
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as progress:
            try:
                while len(finished) < len(wanted):
                    covered = {part for name in wanted if name not in finished for part in STEPS[name].covers}
                    for name in wanted:
                        if name in finished | covered or name in running or len(running) >= PARALLEL:
                            continue
                        step = STEPS[name]
                        missing = {need for need in step.needs if need in wanted} - finished
                        if not missing:
                            child = _let_go(held.pop(name)) if name in held else self._start(name, record["until"])
                            running[name] = (child, time.monotonic(), progress.add_task(step.title, total=None))
                            stages[name] = []
                            self._say(f"{step.title} …")
                            continue
                        last = missing <= running.keys() and (
                            step.held_from is None or all(step.held_from in stages[need] for need in missing)
                        )
                        if (last or step.held_beside in running) and step.imports and name not in held:
                            held[name] = self._start(name, record["until"], held=True)
                    for name, (child, began, bar) in list(running.items()):
                        stages[name] = self._show(progress, bar, name)
                        if (code := child.poll()) is None:
                            continue
                        if code:
                            raise StackError(f"{STEPS[name].title} failed; the end of {self._log(name)}:\n"
                                             f"{tail(self._log(name))}")  # fmt: skip
                        del running[name]
                        seconds[name] = round(time.monotonic() - began, 1)
                        progress.update(bar, total=1, completed=1)
                        self._say(f"{STEPS[name].title}: {seconds[name]} s")
                        for made in (name, *(covered for covered in STEPS[name].covers if covered not in finished)):
                            finished.add(made)
                            self._remember(record, made, seconds[name] if made == name else 0.0)
                            self.done(made)
                    self.tick()
                    time.sleep(0.1)
            finally:
                left = [*held.values(), *(child for child, _, _ in running.values())]
                for child in left:
                    child.terminate()
                for child in held.values():
                    assert child.stdin is not None
                    child.stdin.close()
                leave_none(psutil.Process(child.pid) for child in left if child.poll() is None)
                for child in left:
                    child.wait()
        return seconds

    def _say(self, text: str) -> None:
        # On a terminal the bars say it.
        if not self.console.is_terminal:
            self.console.print(text, highlight=False)

    def _log(self, name: str) -> Path:
        return self.settings.var / "log" / f"prepare-{name}.log"

    def _start(self, name: str, until: str, held: bool = False) -> subprocess.Popen[bytes]:
        progress_file(self.settings, name).unlink(missing_ok=True)
        command = f"python -m stack step {name} --until {until} --history-days {self.history_days}"
        if held:
            return spawn(f"{command} --held", environment(self.settings), self._log(name), subprocess.PIPE)
        return spawn(command, environment(self.settings), self._log(name))

    def _show(self, progress: Progress, bar: TaskID, name: str) -> list[str]:
        """Show how far a step is; returns the stages that it has come to."""
        path = progress_file(self.settings, name)
        if not path.exists():
            return []
        stages, done, total = json.loads(path.read_text())
        progress.update(bar, description=f"{STEPS[name].title}: {stages[-1]}", completed=done, total=total)
        return list(stages)

    def _record(self) -> dict[str, Any]:
        """What was done to this cluster; another cluster's record (a new `var/postgres`) counts for nothing."""
        with connect(self.settings, Role.ADMIN, "postgres") as connection:
            row = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        assert row is not None
        if self.path.exists():
            stored: dict[str, Any] = json.loads(self.path.read_text())
            if stored["system_identifier"] == row[0]:
                return stored
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        return {"system_identifier": row[0], "until": now.isoformat(), "steps": {}}

    def _is_done(self, record: dict[str, Any], name: str) -> bool:
        made_for = STEPS[name].made_for
        step = record["steps"].get(name)
        return made_for is not None and step is not None and step["made_for"] == made_for

    def _remember(self, record: dict[str, Any], name: str, seconds: float) -> None:
        record["steps"][name] = {
            "made_for": STEPS[name].made_for,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
        }
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(record, indent=2) + "\n")
        partial.replace(self.path)


def _let_go(child: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    assert child.stdin is not None
    # One that has died takes no line; its exit code is looked at next.
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(b"\n")
    return child
