"""The README's commands, run as a newcomer would, as they stand there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from stack.steps import STEPS
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import HOME, Settings

# Run elsewhere: the file, and the words that run it there.
ELSEWHERE = {
    "make test": (".ci/run", "make test"),
    "make run PLANT=my.yml": ("tests/e2e/test_stack_up.py", '"make", "run", f"PLANT={settings.plant}"'),
}
DEMO = "make demo"
INJECT = ".venv/bin/python -m simulator inject HAUL-001 bearing_wear --minutes 5"
BROWSE = ".venv/bin/python -m ingest browse opc.tcp://192.168.0.10:4840 --plant my.yml"
CHECK = ".venv/bin/python -m ingest check --plant my.yml"
BACKFILL = ".venv/bin/python -m ingest backfill export.csv --map maps/my_historian.yml"
ENV = ".venv/bin/python -m warehouse env"
DBT = ". var/env && cd dbt_project && ../.venv/bin/dbt build"

MAP = """
layout: wide
timestamp: {column: time, format: iso}
belongs_to: {plant_id: DEMO, name: Copper mine and concentrator, timezone: Europe/Oslo}
equipment: {id: OLD-PUMP, type: pump}
columns: {bearing: {measurement: temperature, unit: °C}}
"""


def readme_commands() -> list[str]:
    """Every line of the README's sh blocks, without its comment."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", (HOME / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines() if line.strip()]


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    assert sorted(readme_commands()) == sorted({DEMO, INJECT, BROWSE, CHECK, BACKFILL, ENV, DBT} | set(ELSEWHERE))
    for file, words in ELSEWHERE.values():
        assert words in (HOME / file).read_text(encoding="utf-8"), f"{file} no longer runs it"


class Newcomer:
    """Someone with this checkout, a state folder and ports of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.var = folder / "var"
        ports = {
            f"MILLWRIGHT_{name}_PORT": free_port() for name in ("POSTGRES", "AIRFLOW", "MLFLOW", "OPCUA", "METRICS")
        }
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "AIRFLOW"))}
        self.environment |= {key: str(port) for key, port in ports.items()}
        self.environment |= {"MILLWRIGHT_VAR": str(self.var), "MILLWRIGHT_HISTORY_DAYS": "5"}
        self.environment["DBT_TARGET_PATH"] = str(folder / "target")
        self.environment["DBT_LOG_PATH"] = str(folder / "logs")
        self.settings = Settings(
            var=self.var, postgres_port=ports["MILLWRIGHT_POSTGRES_PORT"], opcua_port=ports["MILLWRIGHT_OPCUA_PORT"]
        )

    def run(self, command: str) -> str:
        """Run a command of the README to its end and return what it printed."""
        command = command.replace(". var/env", f". {self.var}/env").replace("my.yml", str(self.folder / "my.yml"))
        command = command.replace("export.csv", str(self.folder / "export.csv"))
        command = command.replace("maps/my_historian.yml", str(self.folder / "my_historian.yml"))
        command = command.replace("192.168.0.10:4840", f"127.0.0.1:{self.settings.opcua_port}")
        command = command.replace(".venv/bin/python", sys.executable)
        command = command.replace("../.venv/bin/dbt", str(Path(sys.executable).with_name("dbt")))
        done = subprocess.run(
            command, shell=True, cwd=HOME, env=self.environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def prepared(self) -> dict[str, str]:
        """When the long steps were done; migrations and tags are looked at in every start."""
        steps = json.loads((self.var / "prepared.json").read_text())["steps"]
        return {name: step["finished"] for name, step in steps.items() if name not in ("migrate", "plant")}

    def all_prepared(self, timeout: float) -> dict[str, str]:
        """The same once all of it is done: nobody but this waits for what is left for when the stack is up."""
        deadline = time.monotonic() + timeout
        while missing := STEPS.keys() - {"migrate", "plant"} - self.prepared().keys():
            assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {missing}"
            time.sleep(1)
        return self.prepared()

    def _answers(self, query: str) -> bool:
        try:
            with connect(self.settings, Role.ADMIN) as connection:
                return connection.execute(query).fetchone() is not None
        except psycopg.Error:  # not up, or not migrated, yet
            return False

    @contextmanager
    def running(self, command: str) -> Iterator[Callable[[str, float], None]]:
        """Run a command in the foreground of a terminal of its own, then press Ctrl-C; yields a wait for a query."""
        command = command.replace("my.yml", str(self.folder / "my.yml"))
        with (self.folder / "output").open("a") as output:
            process = subprocess.Popen(
                command.split(), cwd=HOME, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )

        def wait_for(query: str, timeout: float) -> None:
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                assert process.poll() is None, (self.folder / "output").read_text()
                if self._answers(query):
                    return
                time.sleep(1)
            pytest.fail(f"not within {timeout:.0f} s: {query}\n{(self.folder / 'output').read_text()}")

        tree: list[psutil.Process] = []
        try:
            yield wait_for
            tree = psutil.Process(process.pid).children(recursive=True)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert tree, "nothing was running"
        _, alive = psutil.wait_procs(tree, timeout=5)
        assert not alive, f"left behind by {command}: {[orphan.cmdline() for orphan in alive]}"


@pytest.fixture(scope="module")
def newcomer(shared_folder: Path) -> Newcomer:
    return Newcomer(shared_folder)


@pytest.mark.timeout(600)
def test_the_demo_runs_stops_and_resumes(newcomer: Newcomer) -> None:
    with newcomer.running(DEMO) as wait_for:
        wait_for("SELECT 1 FROM ml.scores WHERE role = 'champion'", 300)
        newcomer.run(BROWSE)
        assert "HAUL-001" in newcomer.run(CHECK)
        newcomer.run(INJECT)
        (newcomer.folder / "my_historian.yml").write_text(MAP)
        (newcomer.folder / "export.csv").write_text(
            "time,bearing\n2026-01-01T00:00:00Z,40.5\n2026-01-01T00:01:00Z,41\n"
        )
        newcomer.run(BACKFILL)
        newcomer.run(ENV)
        assert "Completed successfully" in newcomer.run(DBT)
        for command in ("test", "source freshness", "docs generate"):
            newcomer.run(DBT.replace("build", command))
        prepared = newcomer.all_prepared(150)
    with newcomer.running(DEMO) as wait_for:
        wait_for("SELECT 1 FROM ml.scores WHERE scored_at > pg_postmaster_start_time()", 150)
    assert newcomer.prepared() == prepared, "a second start prepared again"
