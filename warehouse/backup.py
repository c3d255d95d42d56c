"""The warehouse and the model registry as a folder, and back: pg_dump and pg_restore underneath.

Transaction ids belong to a cluster. In another one the restored rows get ids of its own and the watermarks, which name
the cluster that they were taken in, count for nothing: the next run reads everything again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from warehouse import server
from warehouse.environment import libpq_environment
from warehouse.errors import WarehouseError
from warehouse.migrate import create_databases, known, migrate
from warehouse.roles import Role, connect
from warehouse.settings import Settings

MANIFEST, WAREHOUSE, REGISTRY, ARTIFACTS = "manifest.json", "warehouse.dump", "mlflow.dump", "artifacts"
PARTIAL = "millwright_restoring"
# Where MLflow keeps the address of an artifact, which begins with this installation's folder.
ADDRESSES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "model_versions": "storage_location",
    "logged_models": "artifact_location",
}
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Backup:
    """What a folder holds: when it was made, of which cluster, at which migration, of which size in bytes."""

    made_at: str
    system_identifier: str
    migration: str
    artifacts: str
    owner: str
    size: int


def dump(settings: Settings, folder: Path, report: Report = lambda what, done, total: None) -> Backup:
    """Write the warehouse, the registry and its artifacts into `folder`, which must not exist yet or be empty.

    The warehouse is one consistent snapshot; everything may go on running. What was cut short leaves no folder behind.
    """
    if folder.exists() and any(folder.iterdir()):
        raise WarehouseError(f"{folder} isn't empty: name a folder that doesn't exist yet")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with connect(settings, Role.ADMIN) as connection:
            tables = _count(connection, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace >= 16384")
            migration = _value(connection, "SELECT max(migration_id) FROM _yoyo_migration")
            cluster = _value(connection, "SELECT system_identifier::text FROM pg_control_system()")
        _pg_dump(settings, Role.ADMIN, settings.pgdatabase, partial / WAREHOUSE, lambda n: report("tables", n, tables))
        if _has_models(settings):
            _pg_dump(settings, Role.MLFLOW, "mlflow", partial / REGISTRY, lambda n: None)
        artifacts = _artifacts(settings)
        if artifacts.is_dir():
            shutil.copytree(artifacts, partial / ARTIFACTS)
        size = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        made = Backup(
            datetime.now(UTC).isoformat(timespec="seconds"),
            cluster,
            migration,
            artifacts.as_uri(),
            settings.admin,
            size,
        )
        (partial / MANIFEST).write_text(json.dumps(vars(made), indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return made


def restore(settings: Settings, folder: Path, report: Report = lambda what, done, total: None) -> tuple[Backup, bool]:
    """Bring `folder` back into a warehouse that holds nothing yet, then apply the migrations that are newer than it.

    Raises WarehouseError for a folder that isn't a whole dump or is of a newer version, and for a warehouse with tags
    in it or with programs connected to it. It is restored beside the old database, which is replaced at the end. Also
    says whether models came along: a registry that has some already, as in the same cluster, stays as it is.
    """
    made = _read(folder)
    if made.migration not in known():
        raise WarehouseError(
            f"{folder} is of a newer version: it is at migration {made.migration}, and this one ends at {known()[-1]}"
        )
    if made.owner != settings.admin:
        raise WarehouseError(
            f"{folder} belongs to the role {made.owner}, and PGUSER is {settings.admin}: restore it as {made.owner}"
        )
    create_databases(settings)
    _require_empty(settings)
    partial = settings.model_copy(update={"pgdatabase": PARTIAL})
    try:
        with connect(settings, Role.ADMIN, "postgres", autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(PARTIAL)))
        create_databases(partial)
        _restore_warehouse(partial, folder / WAREHOUSE, made, report)
        with connect(settings, Role.ADMIN, "postgres", autocommit=True) as admin:
            _replace(admin, settings.pgdatabase)
    finally:
        with connect(settings, Role.ADMIN, "postgres", autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(PARTIAL)))
    migrate(settings)
    models = (folder / REGISTRY).exists() and not _has_models(settings)
    if models:
        _restore_registry(settings, folder, made)
    return made, models


def _restore_warehouse(settings: Settings, archive: Path, made: Backup, report: Report) -> None:
    listing = _program(settings, Role.ADMIN, settings.pgdatabase, "pg_restore", "--list", str(archive))
    tables = sum(" TABLE DATA " in line for line in listing.splitlines())
    done = 0

    def follow(line: str) -> None:
        nonlocal done
        if "processing data for table" in line:
            done += 1
            report("tables", done, tables)

    with connect(settings, Role.ADMIN) as connection:
        other = made.system_identifier != _value(connection, "SELECT system_identifier::text FROM pg_control_system()")
    for section in ("pre-data", "data", "post-data"):
        _program(
            settings, Role.ADMIN, settings.pgdatabase, "pg_restore", "--verbose", "--exit-on-error",
            f"--section={section}", f"--dbname={settings.pgdatabase}", str(archive), follow=follow,
        )  # fmt: skip
        # Before there are indexes, a row is cheap to write again.
        if other and section == "data":
            _adopt(settings, report)
    with connect(settings, Role.ADMIN, autocommit=True) as connection:
        connection.execute("ANALYZE")


def _adopt(settings: Settings, report: Report) -> None:
    """Give every row this cluster's transaction id where it carries one of the cluster that it comes from.

    There are no triggers yet, which would take it for news.

    Left alone, ids of a cluster that was further would read as written in the future, and those of one that was not
    as written by transactions of this one.
    """
    with connect(settings, Role.ADMIN, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT a.attrelid::regclass::text, array_agg(a.attname ORDER BY a.attnum)"
            " FROM pg_attribute AS a INNER JOIN pg_class AS c ON a.attrelid = c.oid"
            " WHERE a.atttypid = 'xid8'::regtype AND c.relkind = 'r' AND c.relnamespace >= 16384"
            " AND NOT a.attisdropped GROUP BY a.attrelid ORDER BY 1"
        ).fetchall()
        for done, (table, columns) in enumerate(tables, start=1):
            target = sql.SQL(table)
            wanted = sql.SQL(", ").join(sql.SQL("{} = pg_current_xact_id()").format(sql.Identifier(c)) for c in columns)
            connection.execute(sql.SQL("UPDATE {} SET {}").format(target, wanted))
            connection.execute(sql.SQL("VACUUM (FULL) {}").format(target))
            report("transaction ids", done, len(tables))


def _restore_registry(settings: Settings, folder: Path, made: Backup) -> None:
    """Models and their artifacts, into a registry that has none."""
    with connect(settings, Role.MLFLOW, "mlflow") as connection:
        connection.execute("DROP OWNED BY CURRENT_USER")
        connection.execute("CREATE SCHEMA IF NOT EXISTS public")
    _program(settings, Role.MLFLOW, "mlflow", "pg_restore", "--exit-on-error", "--no-owner", "--no-privileges",
             "--dbname=mlflow", str(folder / REGISTRY))  # fmt: skip
    if (folder / ARTIFACTS).is_dir():
        shutil.copytree(folder / ARTIFACTS, _artifacts(settings), dirs_exist_ok=True)
    with connect(settings, Role.MLFLOW, "mlflow") as connection:
        for table, column in ADDRESSES.items():
            connection.execute(
                sql.SQL("UPDATE {table} SET {column} = %(to)s || substr({column}, length(%(from)s) + 1)"
                        " WHERE starts_with({column}, %(from)s)")
                .format(table=sql.Identifier(table), column=sql.Identifier(column)),
                {"from": made.artifacts, "to": _artifacts(settings).as_uri()},
            )  # fmt: skip


def _has_models(settings: Settings) -> bool:
    with connect(settings, Role.ADMIN) as connection:
        if not _count(connection, "SELECT count(*) FROM pg_database WHERE datname = 'mlflow'"):
            return False
    with connect(settings, Role.MLFLOW, "mlflow") as connection:
        if connection.execute("SELECT to_regclass('registered_models')").fetchone() == (None,):
            return False
        return _count(connection, "SELECT count(*) FROM registered_models") > 0


def _artifacts(settings: Settings) -> Path:
    return (settings.var / "mlflow" / "artifacts").resolve()


def _read(folder: Path) -> Backup:
    path = folder / MANIFEST
    try:
        return Backup(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WarehouseError(f"{folder} isn't a dump of `python -m warehouse dump`: {path}: {reason}") from error


def _require_empty(settings: Settings) -> None:
    with connect(settings, Role.ADMIN) as connection:
        if connection.execute("SELECT to_regclass('raw.tags')").fetchone() == (None,):
            return
        if tags := _count(connection, "SELECT count(*) FROM raw.tags"):
            raise WarehouseError(
                f"database {settings.pgdatabase} holds a warehouse ({tags} tags): restore into a new installation "
                "(MILLWRIGHT_VAR=… or PGDATABASE=…), or drop it first"
            )


def _replace(admin: psycopg.Connection, name: str) -> None:
    """Put the restored database in the place of the empty one."""
    try:
        admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.ObjectInUse as error:
        raise WarehouseError(
            f"database {name} is in use: stop what is connected to it, then restore again ({error.diag.message_detail})"
        ) from error
    admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(PARTIAL), sql.Identifier(name)))


def _pg_dump(settings: Settings, role: Role, dbname: str, target: Path, dumped: Callable[[int], None]) -> None:
    done = 0

    def follow(line: str) -> None:
        nonlocal done
        if "dumping contents of table" in line:
            done += 1
            dumped(done)

    _program(settings, role, dbname, "pg_dump", "--verbose", "--format=custom", "--compress=1",
             f"--file={target}", follow=follow)  # fmt: skip


def _program(
    settings: Settings, role: Role, dbname: str, name: str, *arguments: str, follow: Callable[[str], None] | None = None
) -> str:
    """Run one of the server's programs as `role`; raises WarehouseError with its last words."""
    environment = server.client_environment() | libpq_environment(settings, role) | {"PGDATABASE": dbname}
    said, trouble = "", ""
    with subprocess.Popen(
        [server.binary(name), *arguments], env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT if follow else subprocess.PIPE,
    ) as child:  # fmt: skip
        if follow is None:
            said, trouble = child.communicate()
        else:
            assert child.stdout is not None
            for line in child.stdout:
                follow(line)
                if "error:" in line:
                    trouble = line
    if child.returncode:
        raise WarehouseError(f"{name} failed: {' '.join((trouble or said).split()) or f'exit code {child.returncode}'}")
    return said


def _value(connection: psycopg.Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _count(connection: psycopg.Connection, query: str) -> int:
    return int(_value(connection, query))
