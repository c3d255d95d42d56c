"""`make run` from the outside: it comes up on free ports, lands readings, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml

from stack.smoke import smoke_plant
from stack.supervisor import tail
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import HOME, Settings

PATIENCE_S = 120


@pytest.fixture
def settings(open_folder: Path) -> Settings:
    port = free_port()
    plant = open_folder / "my.yml"
    plant.write_text(yaml.safe_dump(smoke_plant(port), allow_unicode=True), encoding="utf-8")
    return Settings(
        var=open_folder / "var", plant=plant, postgres_port=free_port(), airflow_port=free_port(),
        mlflow_port=free_port(), opcua_port=port, metrics_port=free_port(),
    )  # fmt: skip


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    fields = ("var", "plant", "postgres_port", "airflow_port", "mlflow_port", "opcua_port", "metrics_port")
    return {**os.environ, **{f"MILLWRIGHT_{name.upper()}": str(getattr(settings, name)) for name in fields}}


@pytest.fixture
def server(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[None]:
    """A plant to connect to, which is not part of the stack."""
    with (tmp_path / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "simulator", "serve"]
        plant = subprocess.Popen(command, cwd=HOME, env=environment, stdout=log, stderr=log)
    yield
    plant.terminate()
    plant.wait(30)


def wait(what: str, condition: Callable[[], bool], stack: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert stack.poll() is None, f"the stack ended before {what}:\n{tail(log)}"
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_S} s:\n{tail(log)}"
        time.sleep(0.5)


def landed(settings: Settings) -> bool:
    try:
        with connect(settings, Role.BI) as _, connect(settings, Role.INGEST) as connection:
            row = connection.execute("SELECT count(*) FROM raw.tag_latest").fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return False
    return row is not None and row[0] > 50


def heartbeat(settings: Settings) -> bool:
    query = "SELECT count(*) FROM job WHERE job_type = 'SchedulerJob' AND state = 'running'"
    try:
        with connect(settings, Role.AIRFLOW, "airflow") as connection:
            row = connection.execute(query).fetchone()
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return False
    return row is not None and row[0] == 1


@pytest.mark.usefixtures("server")
def test_it_comes_up_and_ctrl_c_leaves_nothing_behind(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        command = ["make", "run", f"PLANT={settings.plant}"]
        stack = subprocess.Popen(
            command, cwd=HOME, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    family: list[psutil.Process] = []
    try:
        wait("readings", lambda: landed(settings), stack, log)
        wait("scheduler", lambda: heartbeat(settings), stack, log)
        family = psutil.Process(stack.pid).children(recursive=True)
        assert len(family) >= 8
        with connect(settings, Role.INGEST) as connection:
            made_up = connection.execute("SELECT count(*) FROM raw.sensor_events WHERE origin <> 'live'").fetchone()
        assert made_up == (0,)
    finally:
        os.killpg(stack.pid, signal.SIGINT)  # as a terminal does
        stack.wait(90)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    said = log.read_text()
    assert f"http://127.0.0.1:{settings.airflow_port}" in said
    assert "Traceback" not in said


def test_a_broken_plant_file_is_one_line_before_anything_starts(
    settings: Settings, environment: dict[str, str]
) -> None:
    settings.plant.write_text("plant_id: X\nnonsense: 1\n")
    command = [sys.executable, "-m", "stack", "up"]
    done = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert str(settings.plant) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (settings.var / "postgres").exists()
