"""`python -m simulator`: a plant to try Millwright on."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ingest.errors import IngestError
from simulator.errors import SimulatorError
from warehouse.errors import WarehouseError
from warehouse.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

PlantFile = Annotated[Path | None, typer.Option("--plant", help="plant file; default: plant.yml")]
Port = Annotated[int | None, typer.Option("--port", help="TCP port; default: MILLWRIGHT_OPCUA_PORT, 4840")]
Seed = Annotated[int, typer.Option("--seed", help="another number is another plant of the same machines")]


@app.command("serve")
def serve_command(plant: PlantFile = None, port: Port = None, seed: Seed = 7) -> None:
    """Serve the demo plant over OPC UA until stopped."""
    from ingest.plant import load_plant
    from simulator.server import PlantServer

    settings = Settings()
    description = load_plant(plant or settings.plant)
    server = PlantServer(description, seed, settings.var / "simulator" / "truth.jsonl")
    address = f"opc.tcp://{settings.bind}:{port or settings.opcua_port}"

    async def run() -> None:
        await server.run(
            settings.bind,
            port or settings.opcua_port,
            _stopped_by_signals(),
            lambda: typer.echo(f"{description.name} at {address}"),
        )

    asyncio.run(run())


@app.command("inject")
def inject_command(
    equipment: Annotated[str, typer.Argument(help="equipment id, such as HAUL-001")],
    mode: Annotated[str, typer.Argument(help="failure mode, such as bearing_wear")],
    minutes: Annotated[float, typer.Option("--minutes", help="until the fault is at its full")] = 5.0,
    port: Port = None,
) -> None:
    """Break a machine of the running demo plant."""
    from asyncua import ua

    from simulator.client import call
    from simulator.faults import MODES

    settings = Settings()
    if mode not in MODES:
        raise SimulatorError(f"mode must be one of {', '.join(MODES)}. Got: {mode!r}")
    arguments = [ua.Variant(equipment), ua.Variant(mode), ua.Variant(minutes, ua.VariantType.Double)]
    typer.echo(asyncio.run(call(_url(settings, port), "Inject", *arguments)))


@app.command("repair")
def repair_command(
    equipment: Annotated[str, typer.Argument(help="equipment id, such as HAUL-001")], port: Port = None
) -> None:
    """End all faults of a machine of the running demo plant."""
    from asyncua import ua

    from simulator.client import call

    typer.echo(asyncio.run(call(_url(Settings(), port), "Repair", ua.Variant(equipment))))


@app.command("replay")
def replay_command(
    files: Annotated[list[Path], typer.Argument(help="recorded files, a machine each")],
    map_file: Annotated[Path, typer.Option("--map", help="what their columns mean: maps/*.yml")],
    speed: Annotated[float, typer.Option("--speed", help="times as fast as recorded")] = 1.0,
    port: Port = None,
    write_plant: Annotated[
        Path | None, typer.Option("--write-plant", help="write the plant file that ingests it")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="begin when a client has subscribed")] = True,
) -> None:
    """Serve recorded files over OPC UA with their values and spacing; ends when they end, at about now."""
    from rich.progress import Progress

    from ingest.files.mapping import load_mapping
    from simulator import replay

    if not (math.isfinite(speed) and speed > 0):
        raise SimulatorError(f"--speed: must be a positive number. Got: {speed:g}")
    settings = Settings()
    mapping = load_mapping(map_file)
    recording = replay.read_recording(files, mapping)
    url = _url(settings, port)
    plant = replay.replay_plant(mapping, files, url, speed)
    if write_plant is not None:
        replay.write_plant(plant, write_plant)

    async def run() -> int:
        with Progress() as bar:
            task = bar.add_task("replay", total=None)
            return await replay.replay(
                recording,
                plant,
                settings.bind,
                port or settings.opcua_port,
                speed,
                _stopped_by_signals(),
                wait=wait,
                progress=lambda done, of: bar.update(task, completed=done, total=of),
            )

    typer.echo(f"serving {len(plant.equipment)} machines at {url}" + (", waiting for a client" if wait else ""))
    typer.echo(f"{asyncio.run(run()):,} of {len(recording.nodes):,} readings served")


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


def _url(settings: Settings, port: int | None) -> str:
    return f"opc.tcp://{settings.bind}:{port or settings.opcua_port}"


def _stopped_by_signals() -> asyncio.Event:
    """An event of the running loop that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


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
    except (SimulatorError, IngestError, WarehouseError) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
