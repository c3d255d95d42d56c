"""Bring the cluster up to date: roles, databases, then the ordered SQL files of `warehouse/migrations`."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from warehouse import server
from warehouse.errors import WarehouseError
from warehouse.roles import Role, connect, create_roles, url
from warehouse.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"


def create_databases(settings: Settings) -> None:
    """Create the databases of the warehouse, Airflow and MLflow that are missing."""
    owners = {settings.pgdatabase: Role.ADMIN, "airflow": Role.AIRFLOW, "mlflow": Role.MLFLOW}
    with connect(settings, Role.ADMIN, "postgres", autocommit=True) as connection:
        create_roles(connection, settings)
        for name, owner in owners.items():
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(name), sql.Identifier(owner.user(settings))
                    )
                )
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM public").format(sql.Identifier(name)))
        for role in (Role.INGEST, Role.TRANSFORM, Role.SCORE, Role.OPERATOR, Role.BI):
            # CREATE lets dbt's own `create schema if not exists` pass; TEMPORARY is what COPY stages through.
            wanted = "CONNECT, TEMPORARY, CREATE" if role is Role.TRANSFORM else "CONNECT, TEMPORARY"
            connection.execute(
                sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
                    sql.SQL(wanted), sql.Identifier(settings.pgdatabase), sql.Identifier(role.user(settings))
                )
            )


def migrate(settings: Settings) -> list[str]:
    """Apply what is missing and return the names of what was applied, in order.

    Raises WarehouseError where `PGUSER` is one of Millwright's own roles or the warehouse is newer than this version.
    """
    # Imported here: `wait` is at the head of every process and needs none of it.
    from yoyo import get_backend, read_migrations

    if settings.admin in {role.user(settings) for role in Role if role is not Role.ADMIN}:
        raise WarehouseError(
            f"PGUSER is {settings.admin}, which may not migrate (was var/env sourced in this shell?): "
            "set PGUSER to a role with CREATEROLE and CREATEDB"
        )
    create_databases(settings)
    with connect(settings, Role.ADMIN, autocommit=True) as guard:
        # Not yoyo's own lock, a row that a killed process leaves behind.
        guard.execute("SELECT pg_advisory_lock(hashtext('millwright migrations'))")
        if ahead := sorted(_applied(guard) - set(known())):
            raise WarehouseError(
                f"database {settings.pgdatabase} has {', '.join(ahead)}, which this version doesn't know: "
                "run the version that made it, or a newer one"
            )
        backend = get_backend(url(settings, Role.ADMIN))
        try:
            pending = backend.to_apply(read_migrations(str(MIGRATIONS)))
            names = [migration.id for migration in pending]
            backend.apply_migrations(pending)
        finally:
            backend.connection.close()
        guard.execute(
            "UPDATE serving.policy SET deferral = %(wanted)s WHERE deferral <> %(wanted)s",
            {"wanted": timedelta(minutes=settings.deferral_minutes)},
        )
    return names


def missing(settings: Settings) -> list[str]:
    """The names of the migrations that the warehouse hasn't had yet, in order; changes nothing.

    Raises psycopg.OperationalError while there is no server or no database.
    """
    with connect(settings, Role.ADMIN) as connection:
        applied = _applied(connection)
    return [name for name in known() if name not in applied]


def known() -> list[str]:
    """The names of this version's migrations, in order."""
    return sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


def _applied(connection: psycopg.Connection) -> set[str]:
    if connection.execute("SELECT 1 FROM pg_tables WHERE tablename = '_yoyo_migration'").fetchone() is None:
        return set()
    return {name for (name,) in connection.execute("SELECT migration_id FROM _yoyo_migration")}


def wait_migrated(settings: Settings, timeout: float = 60.0) -> None:
    """Return once the server answers and no migration is missing; raise if that takes more than `timeout` seconds."""
    deadline = time.monotonic() + timeout
    server.wait(settings, timeout)
    while left := _missing_or_why_unknown(settings):
        if time.monotonic() > deadline:
            raise WarehouseError(
                f"database {settings.pgdatabase} on port {settings.port} lacks {', '.join(left)}; "
                "run: python -m warehouse migrate"
            )
        time.sleep(0.2)


def _missing_or_why_unknown(settings: Settings) -> list[str]:
    try:
        return missing(settings)
    except psycopg.OperationalError as error:
        return [" ".join(str(error).split())]
