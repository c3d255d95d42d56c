"""`python -m warehouse`: the Postgres that everything lives in."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from warehouse import server
from warehouse.errors import WarehouseError
from warehouse.migrate import migrate, wait_migrated
from warehouse.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.command("serve")
def serve_command() -> None:
    """Run the embedded Postgres in the foreground."""
    raise typer.Exit(server.serve(Settings()))


@app.command("migrate")
def migrate_command() -> None:
    """Create roles and databases and apply the migrations that are missing."""
    for name in migrate(Settings()):
        typer.echo(f"applied {name}")


@app.command("wait")
def wait_command(
    command: Annotated[
        list[str] | None, typer.Argument(help="run this in its place afterwards; put -- before it")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="seconds until it gives up")] = 60.0,
    migrated: Annotated[bool, typer.Option("--migrated", help="wait for the newest migration too")] = False,
) -> None:
    """Wait until Postgres answers, then become COMMAND if one is given."""
    settings = Settings()
    (wait_migrated if migrated else server.wait)(settings, timeout)
    if command:
        try:
            os.execvp(command[0], command)
        except OSError as error:
            raise WarehouseError(f"{command[0]} can't be run: {error.strerror}") from error


def main() -> None:
    try:
        app()
    except WarehouseError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
