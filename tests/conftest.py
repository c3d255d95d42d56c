"""One embedded Postgres a test session, one migrated template database, one clone of it a test."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from warehouse import server
from warehouse.migrate import create_databases, migrate
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import Settings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# A property holds or it doesn't: by default an example that takes 200 ms fails it, and that long a busy machine pauses.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@contextmanager
def _open_folder() -> Iterator[Path]:
    # Not under pytest's own folder: as root, Postgres runs as a system user that has to get in, and the next pytest
    # to start would lock it out again.
    with tempfile.TemporaryDirectory(prefix="millwright-tests-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for a test that runs a server of its own in it."""
    with _open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """The same, for all tests of a file."""
    with _open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[Settings]:
    """A running server; its default database is the migrated template, which no test writes to."""
    with _open_folder() as var:
        yield from _running(var)


def _running(var: Path) -> Iterator[Settings]:
    settings = Settings(var=var, postgres_port=free_port(), pgdatabase="template_millwright")
    with server.running(settings):
        migrate(settings)
        yield settings


@contextmanager
def _cloned(cluster: Settings) -> Iterator[Settings]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with connect(cluster, Role.ADMIN, "postgres", autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(cluster.pgdatabase))
        )
        settings = cluster.model_copy(update={"pgdatabase": name})
        create_databases(settings)  # grants on a database are not cloned with it
        yield settings
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def warehouse(cluster: Settings) -> Iterator[Settings]:
    """Settings of a warehouse of the test's own: migrated, empty, dropped afterwards."""
    with _cloned(cluster) as settings:
        yield settings


@pytest.fixture(scope="module")
def shared_warehouse(cluster: Settings) -> Iterator[Settings]:
    """The same, for all tests of a file."""
    with _cloned(cluster) as settings:
        yield settings


@pytest.fixture
def admin(warehouse: Settings) -> Iterator[psycopg.Connection]:
    """An autocommit connection of the admin to the test's warehouse."""
    with connect(warehouse, Role.ADMIN, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of real data sets, which is not part of the project."""
    if not DATA.is_dir():
        pytest.skip(f"the recorded data sets are not at {DATA}")
    return DATA
