"""`python -m warehouse`: the Postgres that everything lives in."""

from __future__ import annotations

import sys

import typer

from warehouse import server
from warehouse.errors import WarehouseError
from warehouse.migrate import migrate
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


def main() -> None:
    try:
        app()
    except WarehouseError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
