"""The embedded server: starts with a password, stops with its parent, keeps its data, and explains itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from warehouse import server
from warehouse.errors import WarehouseError
from warehouse.migrate import migrate, missing
from warehouse.roles import Role, connect, passwords
from warehouse.server import free_port
from warehouse.settings import HOME, Settings


@pytest.fixture
def settings(shared_folder: Path) -> Settings:
    return Settings(var=shared_folder, postgres_port=free_port())


def command(settings: Settings, *arguments: str) -> tuple[list[str], dict[str, str]]:
    environment = {
        **os.environ,
        "MILLWRIGHT_VAR": str(settings.var),
        "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port),
    }
    return [sys.executable, "-m", "warehouse", *arguments], environment


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    line, environment = command(settings, *arguments)
    return subprocess.run(line, env=environment, cwd=HOME, capture_output=True, text=True, timeout=60)


@pytest.fixture
def served(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m warehouse serve` as a process of its own, waited for by `python -m warehouse wait`."""
    line, environment = command(settings, "serve")
    process = subprocess.Popen(line, env=environment, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        waited = run(settings, "wait", "--timeout", "30", "--", sys.executable, "-c", "print('then this')")
        assert waited.stdout == "then this\n", waited.stderr
        yield process
    finally:
        process.terminate()
        process.wait()


def postgres_below(process: subprocess.Popen[bytes]) -> psutil.Process:
    (child,) = psutil.Process(process.pid).children()
    return child


def test_data_survive_a_stop_and_a_start(settings: Settings) -> None:
    with server.running(settings), connect(settings, Role.ADMIN, "postgres", autocommit=True) as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS kept (number integer)")
        admin.execute("INSERT INTO kept VALUES (42)")
    with pytest.raises(psycopg.OperationalError):
        connect(settings, Role.ADMIN, "postgres")
    with server.running(settings), connect(settings, Role.ADMIN, "postgres") as admin:
        assert admin.execute("SELECT number FROM kept").fetchone() == (42,)
        assert admin.execute("SHOW fsync").fetchone() == ("on",)
        assert admin.execute("SHOW synchronous_commit").fetchone() == ("on",)


@pytest.mark.parametrize("secret", ["", "wrong"])
def test_a_password_is_required(cluster: Settings, secret: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            host="127.0.0.1", port=cluster.port, user="millwright", password=secret, dbname="postgres", passfile="/none"
        )


def test_only_this_machine_is_listened_to(cluster: Settings) -> None:
    with connect(cluster, Role.ADMIN, "postgres") as admin:
        assert admin.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert admin.execute("SHOW unix_socket_directories").fetchone() == ("",)


def test_a_taken_port_is_answered_in_one_line(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        result = run(settings, "serve")
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        f"port {settings.port} on 127.0.0.1 is taken (Address already in use): set MILLWRIGHT_POSTGRES_PORT to another"
    ]


def test_a_second_server_on_the_same_data_says_so(settings: Settings, served: subprocess.Popen[bytes]) -> None:
    result = run(settings.model_copy(update={"postgres_port": free_port()}), "serve")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and "postmaster.pid" in result.stderr
    assert postgres_below(served).is_running()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_server_ends_with_its_parent(
    settings: Settings, served: subprocess.Popen[bytes], how: signal.Signals
) -> None:
    postgres = postgres_below(served)
    with connect(settings, Role.ADMIN, "postgres", autocommit=True) as session:
        session.execute("SELECT 1")  # an open session doesn't hold it up
        served.send_signal(how)
        served.wait(20)
        postgres.wait(20)
    if how is not signal.SIGKILL:
        assert served.returncode == 0


def test_lost_passwords_are_told_apart_from_a_server_that_is_down(
    settings: Settings, served: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLWRIGHT_PASSWORD_ADMIN", "another")
    started = time.monotonic()
    result = run(settings, "wait")
    assert result.returncode == 2 and time.monotonic() - started < 30
    assert "refuses the password of millwright" in result.stderr and "passwords.json" in result.stderr


def test_waiting_gives_up_in_one_line(settings: Settings) -> None:
    result = run(settings, "wait", "--timeout", "0")
    assert result.returncode == 2
    assert result.stderr.startswith(f"Postgres at 127.0.0.1:{settings.port} doesn't answer")
    assert len(result.stderr.splitlines()) == 1


def test_waiting_for_migrations_names_what_is_missing(settings: Settings, served: subprocess.Popen[bytes]) -> None:
    result = run(settings, "wait", "--migrated", "--timeout", "0")
    assert result.returncode == 2 and "python -m warehouse migrate" in result.stderr


def test_a_postgres_of_ones_own_is_migrated_by_a_role_that_is_no_superuser(settings: Settings) -> None:
    with server.running(settings):
        with connect(settings, Role.ADMIN, "postgres", autocommit=True) as admin:
            admin.execute("CREATE ROLE plant LOGIN CREATEROLE CREATEDB PASSWORD 'from elsewhere'")
        # The same server, seen as someone else's.
        own = settings.model_copy(
            update={"pghost": "localhost", "pgport": settings.port, "pguser": "plant", "pgpassword": "from elsewhere"}
        )
        assert not own.embedded
        assert len(migrate(own)) == len(list((HOME / "warehouse" / "migrations").glob("*.sql")))
        assert migrate(own) == [] and missing(own) == []
        with connect(own, Role.INGEST) as ingest:
            assert ingest.execute("SELECT raw.ensure_partitions(now(), now())").fetchone() == (1,)
        # In a shell where var/env was sourced.
        mistaken = own.model_copy(
            update={"pguser": "millwright_transform", "pgpassword": passwords(own)[Role.TRANSFORM]}
        )
        with pytest.raises(WarehouseError, match="PGUSER is millwright_transform, which may not migrate"):
            migrate(mistaken)
