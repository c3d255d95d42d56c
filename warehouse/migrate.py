"""Bring the cluster up to date: roles, databases, then the ordered SQL files of `warehouse/migrations`."""

from __future__ import annotations

from pathlib import Path

from psycopg import sql
from yoyo import get_backend, read_migrations

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
    """Apply what is missing and return the names of what was applied, in order."""
    create_databases(settings)
    backend = get_backend(url(settings, Role.ADMIN))
    try:
        migrations = read_migrations(str(MIGRATIONS))
        with backend.lock():
            pending = backend.to_apply(migrations)
            names = [migration.id for migration in pending]
            backend.apply_migrations(pending)
    finally:
        backend.connection.close()
    return names
