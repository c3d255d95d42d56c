"""Postgres dies, leaves, refuses, and comes back: nothing at all is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.e2e.faults.case import Cases
from tests.e2e.faults.counters import POISON, value_of
from tests.e2e.faults.field import ASYNCUA
from tests.e2e.faults.matrix import Matrix
from warehouse import server
from warehouse.errors import WarehouseError
from warehouse.migrate import migrate
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import Settings


class Postgres:
    """A server of the test's own, to be killed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process = server.start(settings)

    def kill(self) -> None:
        """SIGKILL to the postmaster and every backend: what is not on disk is gone."""
        family = [self._process_now(), *self._process_now().children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # a session that has ended since it was listed
                process.kill()
        psutil.wait_procs(family, timeout=10)
        self._process.wait(timeout=10)

    def _process_now(self) -> psutil.Process:
        return psutil.Process(self._process.pid)

    def start(self) -> None:
        for _ in range(20):
            try:
                self._process = server.start(self.settings)
            except WarehouseError:  # the port, or the memory of the killed one, isn't free yet
                time.sleep(0.5)
            else:
                return
        raise AssertionError(f"Postgres doesn't start again: {self.settings.var / 'postgres' / 'server.log'}")

    def stop(self) -> None:
        server.stop(self._process)


@pytest.fixture
def postgres(open_folder: Path) -> Iterator[Postgres]:
    made = Postgres(Settings(var=open_folder, postgres_port=free_port()))
    try:
        migrate(made.settings)
        yield made
    finally:
        made.stop()


def test_killed_and_restarted_postgres(postgres: Postgres, matrix: Matrix) -> None:
    with ExitStack() as stack:
        made = Cases(stack, postgres.settings).make()
        made.begin()
        for pause in (0.0, 2.0, 5.0):
            with made.outage(ends=True):
                postgres.kill()
                time.sleep(pause)
                postgres.start()
            time.sleep(1.0)
        matrix.end(made, "Postgres killed", lossless=True)


@pytest.mark.timeout(600)
def test_postgres_that_is_away_for_a_minute(postgres: Postgres, matrix: Matrix, pytestconfig: pytest.Config) -> None:
    with ExitStack() as stack:
        made = Cases(stack, postgres.settings).make()
        made.begin()
        with made.outage(ends=True):
            postgres.stop()
            time.sleep(pytestconfig.getoption("--away"))
            postgres.start()
        matrix.end(made, "Postgres stopped", lossless=True)


def test_revoked_privileges(cases: Cases, admin: psycopg.Connection, matrix: Matrix) -> None:
    made = cases.make()
    made.begin()
    for privilege in ("INSERT ON raw.sensor_events", "INSERT, UPDATE ON raw.tag_latest", "USAGE ON SCHEMA raw"):
        with made.outage(ends=True):
            admin.execute(f"REVOKE {privilege} FROM millwright_ingest")
            time.sleep(4.0)
            admin.execute(f"GRANT {privilege} TO millwright_ingest")
    matrix.end(made, "privileges revoked", lossless=True)


def test_a_read_only_database(cases: Cases, warehouse: Settings, matrix: Matrix) -> None:
    made = cases.make()
    made.begin()
    with connect(warehouse, Role.ADMIN, "postgres", autocommit=True) as outside, made.outage(ends=True):
        for value in ("on", "off"):
            outside.execute(f"ALTER DATABASE {warehouse.pgdatabase} SET default_transaction_read_only = {value}")
            outside.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (warehouse.pgdatabase,)
            )
            time.sleep(4.0)
    matrix.end(made, "database read-only", lossless=True)


def test_poison_rows(cases: Cases, admin: psycopg.Connection, matrix: Matrix) -> None:
    """Rows that can't be stored come all the time, and one tag's are refused by Postgres itself."""
    made = cases.make(ASYNCUA, "--poison", poison=True)
    made.begin()
    with made.outage(ends=True):
        # Every seventh value of the first counter, by a rule that no code of the collector knows.
        lowest = value_of(0, 0)
        admin.execute(
            "ALTER TABLE raw.sensor_events ADD CONSTRAINT poison CHECK"
            f" (value NOT BETWEEN {lowest} AND {value_of(1, 0) - 1} OR mod(value::bigint, 7) <> 0) NOT VALID"
        )
        time.sleep(12.0)
    row = matrix.end(made, "poison rows", lossless=True)
    assert row.rejected > 0

    def rejected() -> dict[str, int]:
        nodes = "SELECT split_part(node_id, ';s=', 2), count(*) FROM raw.rejected_events GROUP BY 1"
        return dict(admin.execute(nodes).fetchall())

    offered = Counter(line["poison"] for line in made.field.lines() if "poison" in line and line["at"] >= made.began_us)
    assert all(offered[name] > 0 for name, _, _ in POISON)
    # A type that no later value mends is said once, and the item put to rest.
    wanted = {name: 1 if name in ("Type", "Array") else offered[name] for name, _, _ in POISON}
    # A row that Postgres refuses parts what landed from what was turned away with it: the latter comes a moment later.
    made.until(
        lambda: all(rejected().get(name, 0) >= count for name, count in wanted.items()), 30, f"rejected: {wanted}"
    )
