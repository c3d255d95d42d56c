"""A warehouse for the length of a benchmark: migrated, empty, fsync and synchronous_commit on, gone afterwards."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse import server
from warehouse.migrate import migrate
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import Settings


@contextmanager
def throwaway_warehouse(configuration: str = "") -> Iterator[Settings]:
    """Settings of an embedded Postgres of its own, whatever server the environment names.

    `configuration` is further lines of postgresql.conf.

    The folder is `MILLWRIGHT_BENCH_DIR`, else the system's for temporary files; a disk, not memory, for honest figures.
    """
    with tempfile.TemporaryDirectory(prefix="millwright-bench-", dir=os.environ.get("MILLWRIGHT_BENCH_DIR")) as folder:
        var = Path(folder)
        var.chmod(0o755)  # as root, Postgres runs as a system user that has to get in
        settings = Settings(var=var, postgres_port=free_port(), pghost=None, pgdatabase="millwright")
        server.create(settings)
        with (server.data_directory(settings) / "postgresql.conf").open("a") as file:
            file.write(configuration + "\n")
        with server.running(settings):
            migrate(settings)
            with connect(settings, Role.ADMIN) as connection:
                safe = [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")]
                if safe != [("on",), ("on",)]:
                    raise RuntimeError("a benchmark runs with fsync and synchronous_commit on")
            yield settings
