"""`python -m simulator`: a plant to try Millwright on."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ingest.errors import IngestError
from simulator.errors import SimulatorError
from warehouse.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

PlantFile = Annotated[Path | None, typer.Option("--plant", help="plant file; default: plant.yml")]
Port = Annotated[int | None, typer.Option("--port", help="TCP port; default: MILLWRIGHT_OPCUA_PORT, 4840")]
Seed = Annotated[int, typer.Option("--seed", help="another number is another plant of the same machines")]


@app.command("history")
def history_command(
    until: Annotated[str, typer.Option("--until", help="where history ends: ISO 8601 with zone")],
    out: Annotated[Path, typer.Option("--out", help="folder to write to")],
    days: Annotated[int, typer.Option("--days", help="how many days before --until")] = 90,
    plant: PlantFile = None,
    seed: Seed = 7,
) -> None:
    """Write the plant's past: readings, exports of MES, SAP and CMMS, recommendations and answers."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ingest.plant import load_plant
    from simulator.history import write_history

    settings = Settings()
    description = load_plant(plant or settings.plant)
    columns = (TextColumn("history"), BarColumn(), MofNCompleteColumn(), TextColumn("days"), TimeElapsedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("history")
        written = write_history(
            description, seed, days, _moment(until), out, lambda done, of: bar.update(task, completed=done, total=of)
        )
    typer.echo(
        f"{written.readings:,} readings, {written.faults} faults, {written.recommendations} recommendations in {out}"
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SimulatorError(f"--until: must be ISO 8601 such as 2026-01-31T06:00:00Z. Got: {text!r}") from error
    if moment.tzinfo is None:
        raise SimulatorError(f"--until: must carry a time zone, such as 2026-01-31T06:00:00Z. Got: {text!r}")
    return moment.astimezone(UTC)


def main() -> None:
    try:
        app()
    except (SimulatorError, IngestError) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
