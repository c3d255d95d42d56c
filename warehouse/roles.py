"""The roles of the warehouse and their passwords.

Passwords are generated once and kept in `var/passwords.json` (mode 0600); `MILLWRIGHT_PASSWORD_INGEST` and so on
override them, for secrets that come from elsewhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from warehouse.settings import Settings

# The server's side of the same: a client that is gone holds no lock for hours.
_SESSION = (
    "-c timezone=UTC -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=30s"
)


class Role(StrEnum):
    """Who connects. The value is the suffix of the Postgres role, `millwright_<value>`."""

    ADMIN = "admin"
    INGEST = "ingest"
    TRANSFORM = "transform"
    SCORE = "score"
    OPERATOR = "operator"
    BI = "bi"
    AIRFLOW = "airflow"
    MLFLOW = "mlflow"

    def user(self, settings: Settings) -> str:
        """The Postgres role; on a server of one's own the admin is whoever `PGUSER` says."""
        return settings.admin if self is Role.ADMIN else f"millwright_{self.value}"


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` so that no other user can read it at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def _stored_passwords(path: Path) -> dict[str, str]:
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if all(role.value in stored for role in Role):
        return stored
    # The processes of a Procfile start together: the first one here generates, the others read what it wrote.
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stored = json.loads(path.read_text()) if path.exists() else {}
        missing = [role for role in Role if role.value not in stored]
        stored.update({role.value: secrets.token_urlsafe(18) for role in missing})
        write_private(path, json.dumps(stored, indent=2) + "\n")
    return stored


def passwords(settings: Settings) -> dict[Role, str]:
    """The password of every role, generated on the first call; that of the admin of a server of one's own may be ''."""
    stored = _stored_passwords(settings.var / "passwords.json")
    known = {role: os.environ.get(f"MILLWRIGHT_PASSWORD_{role.name}", stored[role.value]) for role in Role}
    if not settings.embedded:
        # Not ours to generate. Empty leaves libpq to its own ways: PGPASSFILE, ~/.pgpass, trust.
        known[Role.ADMIN] = settings.pgpassword or os.environ.get("MILLWRIGHT_PASSWORD_ADMIN", "")
    return known


def conninfo(settings: Settings, role: Role, dbname: str | None = None) -> str:
    """A libpq connection string for `role`; it holds the password, so it is never logged."""
    return make_conninfo(
        host=settings.host,
        port=settings.port,
        dbname=dbname or settings.pgdatabase,
        user=role.user(settings),
        password=passwords(settings)[role] or None,
        application_name=f"millwright {role.value}",
        connect_timeout=10,
        # A server that vanishes without a word is noticed in half a minute; the system's own default is two hours.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=25_000,
    )


def url(settings: Settings, role: Role, dbname: str | None = None, driver: str = "psycopg") -> str:
    """The same as an SQLAlchemy URL, for Airflow, MLflow and Great Expectations."""
    secret = passwords(settings)[role]
    credentials = quote(role.user(settings), safe="") + (":" + quote(secret, safe="") if secret else "")
    return f"postgresql+{driver}://{credentials}@{settings.host}:{settings.port}/{dbname or settings.pgdatabase}"


def connect(
    settings: Settings, role: Role, dbname: str | None = None, *, autocommit: bool = False
) -> psycopg.Connection:
    """A connection as `role`, its session in UTC."""
    return psycopg.connect(conninfo(settings, role, dbname), autocommit=autocommit, options=_SESSION)


def create_roles(connection: psycopg.Connection, settings: Settings) -> None:
    """Create the roles that are missing and set every password; needs CREATEROLE. Safe to repeat."""
    secret = passwords(settings)
    for role in Role:
        if role is Role.ADMIN:
            continue
        name = role.user(settings)
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        verb = "ALTER" if exists else "CREATE"
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                sql.SQL(verb), sql.Identifier(name), sql.Literal(secret[role])
            )
        )
        # Since Postgres 16 a CREATEROLE user administers its roles without being a member; schemas need membership.
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(name)))
    # HMIs send unqualified names: the three queries of the contract run as they stand.
    connection.execute("ALTER ROLE millwright_operator SET search_path = serving")
    # An acknowledgement that nobody commits would hold its alert's row, and with it the landing of every value.
    connection.execute("ALTER ROLE millwright_operator SET idle_in_transaction_session_timeout = '3s'")
