"""One family of faults: a counter server, a worker, a warehouse, and the outages that were measured on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.e2e.faults.counters import HZ, TAGS
from tests.e2e.faults.field import ASYNCUA, Field, Launch
from tests.e2e.faults.proxy import Proxy
from tests.e2e.faults.verdict import Outage, Row, judge, look
from tests.e2e.faults.worker import Worker, write_plant
from warehouse.roles import Role, connect
from warehouse.settings import Settings


def now_us() -> int:
    return time.time_ns() // 1000


class Case:
    """Field and worker running, and what is asked of the warehouse between faults."""

    def __init__(self, settings: Settings, field: Field, worker: Worker, proxy: Proxy) -> None:
        self.settings = settings
        self.field = field
        self.worker = worker
        self.proxy = proxy
        self.outages: list[Outage] = []
        self.began_us = 0

    def newest(self) -> int:
        """The oldest of the newest landed ticks of all tags; 0 while one has none or Postgres is away."""
        try:
            with connect(self.settings, Role.ADMIN) as admin:
                return min(max((us for us, _ in look(admin, tag).rows), default=0) for tag in range(len(TAGS)))
        except psycopg.OperationalError:
            return 0

    def until(self, holds: Callable[[], object], seconds: float, what: str) -> None:
        """Wait; fails with the worker's last words."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline or not self.worker.alive():
                last = "\n".join(self.worker.log.read_text().splitlines()[-30:])
                state = "runs" if self.worker.alive() else "has ended"
                raise AssertionError(f"not within {seconds:.0f} s: {what}; the worker {state}:\n{last}")
            time.sleep(0.2)

    def flowing(self, seconds: float = 90.0) -> None:
        """Wait until values that are offered from now on land, of every tag."""
        asked = now_us()
        self.until(lambda: self.newest() > asked, seconds, "new values of every tag have landed")

    def begin(self) -> None:
        """From here on everything counts."""
        self.worker.start()
        self.flowing()
        self.began_us = now_us()

    @contextmanager
    def outage(self, *, ends: bool = False, seconds: float = 90.0) -> Iterator[None]:
        """A fault: measured from here until the server says that it is subscribed again after the block, or, with
        `ends`, until the block is left; waits until values flow."""
        began = now_us()
        yield
        left = now_us()
        self.flowing(seconds)
        again = [
            line["at"]
            for line in self.field.events("monitored", "transferred", "resumed")
            # One of before was undone by what the block went on to do: a worker that was up again is killed again.
            if line["at"] >= left and line["count"] > 0
        ]
        self.outages.append(Outage(began, left if ends or not again else again[0]))

    def end(self, fault: str, *, lossless: bool, times: int | None = None, seconds: float = 30.0) -> Row:
        """Stop the counters, wait until what was offered is accounted for, and judge; where it must be `lossless`, what
        the ledger explains is still waited for."""
        time.sleep(1.0)
        self.field.tell("hold")
        times = times or len(self.outages)
        deadline = time.monotonic() + seconds
        while True:
            row = self._row(fault, times)
            if row.landed + row.rejected == row.offered or time.monotonic() > deadline:
                return row
            # What is explained by now may still be repaired; nobody waits for long for that where it need not be.
            if not lossless and row.lost_not_in_ledger == 0 and time.monotonic() > deadline - seconds + 5:
                return row
            time.sleep(0.5)

    def _row(self, fault: str, times: int) -> Row:
        with connect(self.settings, Role.ADMIN) as admin:
            return judge(
                admin,
                self.field.offered(),
                self.began_us * HZ // 1_000_000,
                fault,
                self.field.name,
                times,
                self.outages,
            )


class Cases:
    """Makes the case of a test, and ends its processes with it."""

    def __init__(self, stack: ExitStack, settings: Settings) -> None:
        self._stack = stack
        self._settings = settings

    def make(self, launch: Launch = ASYNCUA, *flags: str, spool_gb: float = 1.0, **plant: Any) -> Case:
        """A counter server that runs, behind a proxy, and a worker that doesn't yet; `plant` as of `write_plant`."""
        folder = self._settings.var
        field = Field(folder, launch, *flags)
        self._stack.callback(field.kill)
        field.start()
        proxy = Proxy(field.port)
        self._stack.callback(proxy.close)
        path = folder / "plant.yml"
        # Told by change, node-opcua misses none; a sampling timer of its would.
        sampling = {} if launch == ASYNCUA else {"sampling_ms": 0}
        write_plant(path, proxy.port, **sampling, **plant)
        worker = Worker(self._settings, path, spool_gb)
        self._stack.callback(worker.kill)
        return Case(self._settings, field, worker, proxy)


def settings_in(warehouse: Settings, folder: Path) -> Settings:
    """A warehouse with a spool of the case's own; passwords stay what they are."""
    (folder / "passwords.json").write_text((warehouse.var / "passwords.json").read_text())
    return warehouse.model_copy(update={"var": folder})
