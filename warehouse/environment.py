"""The warehouse's address for programs that speak libpq: psql, the dbt CLI, pg_dump."""

from __future__ import annotations

import shlex
from pathlib import Path

from warehouse.roles import Role, passwords, write_private
from warehouse.settings import Settings


def libpq_environment(settings: Settings, role: Role) -> dict[str, str]:
    """libpq's variables for `role`, its password included; for the environment of a child, never for a file."""
    address = _address(settings, role)
    secret = passwords(settings)[role]
    return address | ({"PGPASSWORD": secret} if secret else {})


def write_environment(settings: Settings, role: Role) -> Path:
    """Write `var/env` (addresses, to be sourced) and `var/pgpass` (passwords of every role), both mode 0600.

    Returns the path of `var/env`. The password of the admin of a server of one's own isn't written.
    """
    pgpass = settings.var / "pgpass"
    lines = [
        ":".join(_escaped(part) for part in (settings.host, str(settings.port), "*", known.user(settings), secret))
        for known, secret in passwords(settings).items()
        if secret and (known is not Role.ADMIN or settings.embedded)
    ]
    write_private(pgpass, "\n".join(lines) + "\n")
    variables = {**_address(settings, role), "PGPASSFILE": str(pgpass.resolve())}
    if settings.embedded:
        # So that Millwright's own commands, run in the same shell, know the server as the embedded one.
        variables["MILLWRIGHT_VAR"] = str(settings.var.resolve())
        variables["MILLWRIGHT_POSTGRES_PORT"] = str(settings.postgres_port)
    path = settings.var / "env"
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    write_private(path, "# Written by python -m warehouse env.\n" + text)
    return path


def _address(settings: Settings, role: Role) -> dict[str, str]:
    return {
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGDATABASE": settings.pgdatabase,
        "PGUSER": role.user(settings),
    }


def _escaped(part: str) -> str:
    # The passfile's own separators.
    return part if part == "*" else part.replace("\\", "\\\\").replace(":", "\\:")
