"""`python -m ingest`: OPC UA and files into the warehouse."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer

from ingest.errors import IngestError
from warehouse.errors import WarehouseError
from warehouse.settings import Settings

if TYPE_CHECKING:
    from ingest.landing.rejected import Wanted

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

PlantOption = Annotated[Path | None, typer.Option("--plant", help="the plant file; MILLWRIGHT_PLANT or plant.yml")]


@app.command("sync-plant")
def sync_plant_command(plant: PlantOption = None) -> None:
    """Bring equipment, tags and limits of the warehouse in line with the plant file."""
    from ingest.plant import load_plant
    from ingest.tags import sync_plant

    settings = Settings()
    typer.echo(f"tags: {sync_plant(settings, load_plant(plant or settings.plant), datetime.now(UTC))}")


@app.command("backfill")
def backfill_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV or Parquet")],
    map_file: Annotated[Path, typer.Option("--map", help="what the columns mean: maps/*.yml")],
) -> None:
    """Land a historian's export; repeating it changes nothing."""
    from ingest.files.backfill import backfill
    from ingest.files.mapping import load_mapping
    from ingest.progress import bar

    settings, mapping = Settings(), load_mapping(map_file)
    for path in files:
        with bar(path.name) as progress:
            result = backfill(settings, path, mapping, datetime.now(UTC), progress)
        typer.echo(
            f"{path}: {result.rows:,} rows, {result.landed:,} new;"
            f" {result.checked_s:.1f} s to check, {result.landed_s:.1f} s to land, {result.rows_per_s:,.0f} rows/s"
        )


@app.command("load")
def load_command(
    system: Annotated[str, typer.Argument(help="mes, sap or cmms")],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="CSV or Parquet, named after their tables")
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="which table it is and what its columns mean: maps/*/*.yml")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--from",
            envvar="MILLWRIGHT_LOAD_FROM",
            help="instead of files another database, an SQLAlchemy URL; keep passwords to the environment variable",
        ),
    ] = None,
    query: Annotated[str | None, typer.Option(help="the SELECT to run there; @FILE reads it from a file")] = None,
    table: Annotated[str | None, typer.Option(help="the table that the query is for, where no map says it")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="refuse everything if a single row can't be used")] = False,
) -> None:
    """Load exports of MES, SAP or CMMS; rows that are there are brought up to date, bad ones kept with the reason."""
    from ingest.files.load import Query, load
    from ingest.files.table_map import load_table_map

    if (query is None) == (not files):
        raise IngestError("give either FILE... or --query with --from")
    sources: list[Path | Query] = [*(files or [])]
    if query is not None:
        if url is None:
            raise IngestError("--query needs --from URL, or MILLWRIGHT_LOAD_FROM in the environment")
        sources.append(Query(url, _query_text(query), table))
    mapping = None if map_file is None else load_table_map(map_file)
    for result in load(Settings(), system, sources, mapping, strict=strict):
        typer.echo(str(result))


def _query_text(query: str) -> str:
    if not query.startswith("@"):
        return query
    try:
        return Path(query[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IngestError(f"{query[1:]}: can't be read: {error}") from error


@app.command("check")
def check_command(plant: PlantOption = None) -> None:
    """Connect to every server of the plant file, read every tag once and print a table."""
    import asyncio

    from rich.console import Console

    from ingest.opcua.check import check, table
    from ingest.opcua.security import Pki
    from ingest.plant import load_plant

    settings = Settings()
    report = asyncio.run(check(load_plant(plant or settings.plant), Pki(settings.var / "pki")))
    table(report, Console())
    raise typer.Exit(report.exit_code)


@app.command("browse")
def browse_command(
    url: Annotated[str, typer.Argument(metavar="URL", help="opc.tcp://host:port")],
    plant: Annotated[Path | None, typer.Option(help="write a plant description there instead of printing")] = None,
    name: Annotated[str | None, typer.Option(help="what the server is called in it; host and port")] = None,
    root: Annotated[str, typer.Option(help="where to begin, such as nsu=urn:x;s=Line1")] = "i=85",
    security_policy: Annotated[str | None, typer.Option(help="as in plant.yml, like those that follow")] = None,
    security_mode: Annotated[str | None, typer.Option()] = None,
    trust: Annotated[str | None, typer.Option()] = None,
    username: Annotated[str | None, typer.Option()] = None,
    password_env: Annotated[str | None, typer.Option(help="environment variable that holds the password")] = None,
    plain_password: Annotated[bool | None, typer.Option("--plain-password")] = None,
    user_certificate: Annotated[Path | None, typer.Option()] = None,
    user_key: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Walk a server's address space and print it, or write a plant description that is a first guess."""
    import asyncio

    from ingest.opcua.description import explore

    options = {
        "url": url,
        "security_policy": security_policy,
        "security_mode": security_mode,
        "trust": trust,
        "username": username,
        "password_env": password_env,
        "plain_password": plain_password,
        "user_certificate": user_certificate,
        "user_key": user_key,
    }
    given = {key: value for key, value in options.items() if value is not None}
    for line in asyncio.run(explore(Settings().var / "pki", given, name, root, plant)):
        typer.echo(line)


@app.command("run")
def run_command(
    plant: PlantOption = None,
    server: Annotated[list[str] | None, typer.Option(help="only these servers of the plant file")] = None,
) -> None:
    """Collect from the plant's servers until stopped."""
    from ingest.plant import load_plant
    from ingest.worker import run

    settings = Settings()
    raise typer.Exit(run(settings, load_plant(plant or settings.plant), server))


rejected_app = typer.Typer(
    no_args_is_help=True, help="What couldn't be used: list, retry or export readings; rows of MES, SAP and CMMS."
)
app.add_typer(rejected_app, name="rejected")

ReasonOption = Annotated[str | None, typer.Option(help="only reasons that contain this")]
RejectedServerOption = Annotated[str | None, typer.Option("--server", help="only readings of this server")]
SinceOption = Annotated[datetime | None, typer.Option(help="rejected from this time on (UTC)")]
UntilOption = Annotated[datetime | None, typer.Option(help="rejected before this time (UTC)")]
LandedTooOption = Annotated[bool, typer.Option("--all", help="those too that a retry has landed since")]


def _wanted(
    reason: str | None, server: str | None, since: datetime | None, until: datetime | None, landed_too: bool = False
) -> Wanted:
    from ingest.landing.rejected import Wanted

    began, ended = (None if moment is None else moment.replace(tzinfo=UTC) for moment in (since, until))
    return Wanted(reason, server, began, ended, landed_too)


@rejected_app.command("list")
def rejected_list_command(
    reason: ReasonOption = None,
    server: RejectedServerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    landed_too: LandedTooOption = False,
    limit: Annotated[int, typer.Option(min=1, help="how many of the newest")] = 20,
) -> None:
    """Count rejected readings by server and reason, and show the newest."""
    from rich.console import Console

    from ingest.landing.rejected import by_reason, newest, tables
    from warehouse.roles import Role, connect

    wanted = _wanted(reason, server, since, until, landed_too)
    with connect(Settings(), Role.INGEST) as connection:
        counts = by_reason(connection, wanted)
        if not counts:
            typer.echo("no rejected readings")
            return
        for table in tables(counts, newest(connection, wanted, limit)):
            Console().print(table)


@rejected_app.command("rows")
def rejected_rows_command(
    table: Annotated[str | None, typer.Option(help="only rows for this table, such as mes_shifts")] = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, help="how many of the newest")] = 20,
) -> None:
    """Count rows of MES, SAP and CMMS that couldn't be loaded, by table and reason, and show the newest."""
    from rich.console import Console

    from ingest.files.contracts import CONTRACTS
    from ingest.files.rejected_rows import WantedRows, newest_rows, row_tables, rows_by_reason
    from warehouse.roles import Role, connect

    if table is not None and table not in CONTRACTS:
        raise IngestError(f"--table must be one of {', '.join(CONTRACTS)}. Got: {table!r}")
    began, ended = (None if moment is None else moment.replace(tzinfo=UTC) for moment in (since, until))
    wanted = WantedRows(table, reason, began, ended)
    with connect(Settings(), Role.INGEST) as connection:
        counts = rows_by_reason(connection, wanted)
        if not counts:
            typer.echo("no rejected rows")
            return
        for shown in row_tables(counts, newest_rows(connection, wanted, limit)):
            Console().print(shown)


@rejected_app.command("retry")
def rejected_retry_command(
    reason: ReasonOption = None,
    server: RejectedServerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    plant: PlantOption = None,
) -> None:
    """Land what the plant file and the warehouse make usable by now; repeating it changes nothing."""
    from ingest.landing.retry import retry
    from ingest.plant import load_plant

    settings = Settings()
    described = load_plant(plant or settings.plant)
    outcome = retry(settings, described, _wanted(reason, server, since, until), datetime.now(UTC))
    typer.echo(f"{outcome.landed:,} landed, {outcome.there:,} there already, {outcome.unusable.total():,} not usable")
    for why, count in outcome.unusable.most_common():
        typer.echo(f"{count:>9,}  {why}")


@rejected_app.command("export")
def rejected_export_command(
    file: Annotated[Path, typer.Argument(help="CSV to write; - for standard output")],
    reason: ReasonOption = None,
    server: RejectedServerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    landed_too: LandedTooOption = False,
) -> None:
    """Write rejected readings as CSV, oldest first."""
    from ingest.landing.rejected import export
    from warehouse.roles import Role, connect

    wanted = _wanted(reason, server, since, until, landed_too)
    with connect(Settings(), Role.INGEST) as connection:
        if str(file) == "-":
            export(connection, wanted, sys.stdout.buffer)
            return
        try:
            with file.open("wb") as target:
                count = export(connection, wanted, target)
        except OSError as error:
            raise IngestError(f"{file}: can't be written: {error.strerror}") from error
    typer.echo(f"{file}: {count:,} rejected readings")


def main() -> None:
    try:
        app()
    except (IngestError, WarehouseError) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
    except psycopg.OperationalError as error:
        message = str(error).strip().splitlines()[0]
        typer.echo(
            f"Postgres can't be reached: {message}; `python -m warehouse serve` starts the embedded one", err=True
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
