"""`python -m stack`: everything together on one machine."""

from __future__ import annotations

import logging
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ingest.errors import IngestError
from ml.errors import ModelError
from simulator.errors import SimulatorError
from stack.errors import StackError
from warehouse.errors import WarehouseError
from warehouse.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Demo = Annotated[bool, typer.Option("--demo", help="with the demo plant and its history")]
PlantFile = Annotated[Path | None, typer.Option("--plant", help="the plant file; by default plant.yml")]
HistoryDays = Annotated[
    int,
    typer.Option("--history-days", min=1, envvar="MILLWRIGHT_HISTORY_DAYS", help="days of history for the demo plant"),
]


def _settings(plant: Path | None = None) -> Settings:
    settings = Settings()
    return settings if plant is None else settings.model_copy(update={"plant": plant.resolve()})


@app.command("up")
def up_command(demo: Demo = False, plant: PlantFile = None, history_days: HistoryDays = 90) -> None:
    """Prepare what is missing, run everything, show how it goes; Ctrl-C stops it all."""
    from rich.console import Console

    from stack.session import up

    up(_settings(plant), demo, history_days, Console())


@app.command("prepare")
def prepare_command(demo: Demo = False, plant: PlantFile = None, history_days: HistoryDays = 90) -> None:
    """Do once what has to be there before the processes start; `up` does it too."""
    from rich.console import Console

    from stack.preparation import Preparation
    from stack.session import with_demo_plant
    from warehouse import server

    settings = _settings(plant)
    if demo:
        settings = with_demo_plant(settings)
    with server.running(settings):
        preparation = Preparation(settings, demo, history_days, console=Console())
        preparation.run()
        preparation.run(late=True)


@app.command("smoke")
def smoke_command(
    history_days: HistoryDays = 90,
    control_minutes: Annotated[float, typer.Option(min=1, help="length of the stretch without a fault")] = 2,
) -> None:
    """Prove that it works: the real stack in a temporary folder, a fault, a recommendation, an answer, a retraining."""
    from rich.console import Console

    from stack.smoke import smoke

    raise typer.Exit(smoke(history_days, control_minutes, Console()))


@app.command("step", hidden=True)
def step_command(
    name: Annotated[str, typer.Argument(help="one of the steps of prepare")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z"], help="where history ends")],
    history_days: HistoryDays = 90,
    held: Annotated[bool, typer.Option("--held", help="import, then wait for a line on standard input")] = False,
) -> None:
    """Do one step of `prepare` in this process."""
    from stack.steps import run_step

    run_step(_settings(), name, until, history_days, held)


@app.command("env")
def env_command() -> None:
    """Print the environment of the Procfile's processes, secrets included, for `eval "$(python -m stack env)"`."""
    from stack.environment import environment

    for name, value in environment(_settings()).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command("scheduler")
def scheduler_command() -> None:
    """Run Airflow's scheduler with the tasks' libraries preloaded."""
    from stack.scheduler import run

    run()


@app.command("pruner")
def pruner_command() -> None:
    """Keep Airflow's tables and logs small, for ever."""
    from stack.pruner import run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    run(_settings())


def main() -> None:
    try:
        app()
    except (StackError, WarehouseError, IngestError, SimulatorError, ModelError) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
