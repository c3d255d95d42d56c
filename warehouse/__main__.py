"""`python -m warehouse`: the Postgres that everything lives in."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse import server
from warehouse.environment import libpq_environment, write_environment
from warehouse.errors import WarehouseError
from warehouse.migrate import migrate, wait_migrated
from warehouse.roles import Role
from warehouse.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


def _moment(text: str | None) -> datetime:
    """The moment given, or now; one without a zone is UTC."""
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise WarehouseError(f"--moment must be like 2026-06-15T10:30Z. Got: {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _variables(text: str | None) -> dict[str, object]:
    """dbt vars from a JSON object."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise WarehouseError(f'--vars must be a JSON object such as {{"gold_days": 90}}. Got: {text!r}')
    return given


Moment = Annotated[str | None, typer.Option("--moment", help="the moment to work for, by default now (ISO 8601)")]
RoleOption = Annotated[Role, typer.Option("--role", help="who connects")]


def _become(command: list[str]) -> None:
    """Replace this process, so that signals reach the command itself."""
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise WarehouseError(f"{command[0]} can't be run: {error.strerror}") from error


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
        _become(command)


@app.command("env")
def env_command(role: RoleOption = Role.TRANSFORM) -> None:
    """Write var/env and var/pgpass (mode 0600) for psql, the dbt CLI and other libpq programs."""
    path = write_environment(Settings(), role)
    typer.echo(f". {path}")


@app.command("psql", context_settings={"ignore_unknown_options": True})
def psql_command(
    arguments: Annotated[list[str] | None, typer.Argument(help="psql's own options")] = None,
    role: RoleOption = Role.BI,
) -> None:
    """Open psql on the warehouse."""
    settings = Settings()
    os.environ.update(libpq_environment(settings, role))
    program = server.binary("psql") if settings.embedded else shutil.which("psql") or server.binary("psql")
    _become([program, *(arguments or [])])


@app.command("transform")
def transform_command(
    select: Annotated[str | None, typer.Option(help="dbt's node selection, such as tag:minute")] = None,
    moment: Moment = None,
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="rebuild what may be rebuilt")] = False,
    variables: Annotated[
        str | None, typer.Option("--vars", help="in place of those in dbt_project.yml, such as '{\"gold_days\": 90}'")
    ] = None,
) -> None:
    """Build the marts with dbt for a moment."""
    from warehouse.transform import build

    given = _variables(variables)
    result = build(Settings(), _moment(moment), select=select, full_refresh=full_refresh, variables=given)
    for failure in result.failures:
        typer.echo(failure, err=True)
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{'built' if result.succeeded else 'failed'} in {result.seconds:.1f} s")
    raise typer.Exit(0 if result.succeeded else 1)


@app.command("describe-features")
def describe_features_command() -> None:
    """Write the contract of gold_ml_features from the measurements in dbt_project.yml."""
    from warehouse.feature_contract import write

    typer.echo(f"wrote {write()}")


@app.command("maintain")
def maintain_command(moment: Moment = None) -> None:
    """Make day partitions ahead and let go what is past its retention."""
    from warehouse.maintenance import maintain

    done = maintain(Settings(), _moment(moment))
    days = done.partitions
    typer.echo(f"partitions: {days.made} made, {len(days.dropped)} dropped, {len(days.kept)} kept past retention")
    for name, reason in days.kept.items():
        typer.echo(f"  {name}: {reason}")
    for table, rows in done.deleted.items():
        if rows:
            typer.echo(f"{table}: {rows} rows past retention deleted")


def _progress(verb: str) -> tuple[Progress, Callable[[str, int, int], None]]:
    """A bar on standard error, and what moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task(verb, total=None)
    return bar, lambda what, done, total: bar.update(task, description=f"{verb} {what}", completed=done, total=total)


@app.command("dump")
def dump_command(folder: Annotated[Path, typer.Argument(help="a folder that doesn't exist yet")]) -> None:
    """Write the warehouse, its watermarks and the model registry into a folder, while everything may go on running."""
    from warehouse.backup import dump

    settings = Settings()
    bar, report = _progress("dumping")
    with server.available(settings), bar:
        made = dump(settings, folder, report)
    typer.echo(f"{folder}: {made.size / 1e6:,.1f} MB, up to migration {made.migration}")


@app.command("restore")
def restore_command(folder: Annotated[Path, typer.Argument(help="what `dump` wrote")]) -> None:
    """Bring a dump back into a warehouse that holds nothing yet; programs that use it have to be stopped."""
    from warehouse.backup import restore

    settings = Settings()
    bar, report = _progress("restoring")
    with server.available(settings), bar:
        made, models = restore(settings, folder, report)
    registry = "with its models" if models else "without models: the dump has none, or the registry has its own"
    typer.echo(f"{settings.pgdatabase}: restored as of {made.made_at}, {registry}")


@app.command("check")
def check_command(
    checkpoint: Annotated[str, typer.Argument(help="raw_landings or training_set")],
    moment: Moment = None,
    hours: Annotated[int, typer.Option(min=1, max=24, help="how far back raw_landings looks")] = 24,
    docs: Annotated[bool, typer.Option("--docs", help="say where the page of all results is")] = False,
) -> None:
    """Run a data-quality checkpoint; exit code 1 if something that blocks failed."""
    from warehouse.data_docs import data_docs
    from warehouse.quality import check

    logging.basicConfig(level=logging.WARNING)
    settings = Settings()
    result = check(settings, checkpoint, _moment(moment), hours)
    for line in result.failures:
        typer.echo(f"failed   {line}")
    for line in result.warnings:
        typer.echo(f"warning  {line}")
    typer.echo(f"{checkpoint}: {'passed' if result.succeeded else 'failed'}")
    if docs:
        typer.echo(data_docs(settings).resolve().as_uri())
    raise typer.Exit(0 if result.succeeded else 1)


@app.command("docs")
def docs_command(
    serve: Annotated[bool, typer.Option("--serve/--write-only", help="serve the site until Ctrl-C")] = True,
) -> None:
    """Write var/docs, dbt's pages and what the checkpoints found, and serve it."""
    from warehouse.documentation import site_server, write_site

    settings = Settings()
    folder = write_site(settings)
    typer.echo(f"wrote {folder}")
    if serve:
        with site_server(settings, folder) as site:
            typer.echo(f"http://{settings.bind}:{site.server_port}/ (Ctrl-C stops it)")
            with suppress(KeyboardInterrupt):
                site.serve_forever()


def main() -> None:
    try:
        app()
    except WarehouseError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
