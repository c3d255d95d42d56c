"""The whole stack, from checked ports to the last process ended: what `up` and `smoke` run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

import psycopg
from rich.console import Console
from rich.live import Live

from ingest.plant import load_plant
from stack import status
from stack.environment import environment
from stack.errors import StackError
from stack.preparation import Preparation
from stack.scheduler_api import SchedulerApi
from stack.steps import STEPS
from stack.supervisor import SETTLED_S, Supervisor, procfile
from warehouse import server
from warehouse.settings import HOME, Settings

DEFAULT_OPCUA_PORT = 4840
BOARDS = "warehouse_hourly"
# Steps that a process waits for; those of the demo count in the demo alone. A process that isn't named waits for all.
AFTER = {
    # The live plant starts where the history ends, not minutes later.
    "plant": ("plant",),
    "ingest": ("plant",),
    # Ten seconds and more of start-up each, on all cores: the first build and the first training have none to spare.
    "airflow-api-server": ("airflow", "features", "model"),
    "airflow-dag-processor": ("airflow", "features", "model"),
    "mlflow": ("mlflow", "model"),
    # A first build is nothing for a minute, and minutes would make the first training wait.
    "airflow-scheduler": ("airflow", "mlflow", "views", "features", "model"),
}


def require_ports(settings: Settings, demo: bool) -> None:
    """Raise for the first port that is taken, with its number and the setting that changes it."""
    ports = {"MILLWRIGHT_AIRFLOW_PORT": settings.airflow_port, "MILLWRIGHT_MLFLOW_PORT": settings.mlflow_port}
    if settings.metrics_port:
        ports["MILLWRIGHT_METRICS_PORT"] = settings.metrics_port
    if settings.embedded:
        ports["MILLWRIGHT_POSTGRES_PORT"] = settings.postgres_port
    if demo:
        ports["MILLWRIGHT_OPCUA_PORT"] = settings.opcua_port
    by_number: dict[int, str] = {}
    for name, port in ports.items():
        if port in by_number:
            raise StackError(f"{name} and {by_number[port]} are both {port}: set one of them to another port")
        by_number[port] = name
        server.require_free(settings.bind, port, name)


def with_demo_plant(settings: Settings) -> Settings:
    """Settings whose plant file points at the demo plant's port, where that is not the one in `plant.yml`."""
    if settings.opcua_port == DEFAULT_OPCUA_PORT or settings.plant != HOME / "plant.yml":
        return settings
    moved = settings.var / "demo_plant.yml"
    moved.parent.mkdir(parents=True, exist_ok=True)
    text = settings.plant.read_text(encoding="utf-8")
    moved.write_text(text.replace(f":{DEFAULT_OPCUA_PORT}", f":{settings.opcua_port}"), encoding="utf-8")
    return settings.model_copy(update={"plant": moved})


def ready(commands: Iterable[str], done: Collection[str], demo: bool) -> list[str]:
    """The processes of `commands` that can start when the steps of `done` are."""
    missing = {name for name, step in STEPS.items() if demo or not step.demo} - set(done)
    return [name for name in commands if name in AFTER and not missing & set(AFTER[name])]


@contextmanager
def stack(settings: Settings, demo: bool, history_days: int, console: Console) -> Iterator[Supervisor]:
    """The prepared and running stack for the length of a block; everything has ended when it is left."""
    require_ports(settings, demo)
    commands = {name: command for name, command in procfile().items() if demo or name != "plant"}
    if not settings.embedded:
        del commands["postgres"]
    supervisor = Supervisor(commands, environment(settings), settings.var / "log")
    stopping = threading.Event()
    try:
        if settings.embedded:
            # Made here, so that what goes wrong (as root above all) is said here and not in a log.
            server.create(settings)
            supervisor.start("postgres")
        server.wait(settings)

        done: set[str] = set()

        def follow(step: str) -> None:
            done.add(step)
            supervisor.start(*ready(commands, done, demo))

        seconds = Preparation(settings, demo, history_days, follow, supervisor.check, console).run()
        supervisor.start(*commands)
        late = Preparation(settings, demo, history_days, console=Console(quiet=True, force_terminal=False))
        arguments = (late, "model" in seconds, console, stopping)
        threading.Thread(target=_afterwards, args=arguments, name="afterwards", daemon=True).start()
        yield supervisor
    finally:
        stopping.set()
        if console.is_terminal:
            console.print("Stopping …")
        supervisor.stop()


def _afterwards(
    late: Preparation, first: bool, console: Console, stopping: threading.Event, patience_s: float = 120
) -> None:
    """What nobody waits for: the first hourly run, once Airflow answers, and the late steps."""

    def say(text: str) -> None:
        if not stopping.is_set():
            console.print(text, highlight=False, markup=False)

    # Dashboards would be empty until the next full hour.
    deadline = time.monotonic() + patience_s
    while first and not stopping.wait(2):
        try:
            SchedulerApi(late.settings).start(BOARDS)
            break
        except StackError as error:
            if time.monotonic() > deadline:
                say(f"{BOARDS} waits for the next full hour: {error}")
                break
    try:
        late.run(late=True)
    except (StackError, psycopg.Error) as error:
        say(f"left for the next start: {error}")


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt inside the block, once; later ones are ignored while it stops."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def up(settings: Settings, demo: bool, history_days: int, console: Console) -> None:
    """Run the stack with its live view until SIGINT or SIGTERM; raises if a process ends by itself that isn't started
    again."""
    if demo:
        settings = with_demo_plant(settings)
    load_plant(settings.plant)  # a mistake in it is said before anything starts
    with stoppable():
        try:
            with stack(settings, demo, history_days, console) as supervisor:
                _watch(supervisor, settings, demo, console)
        except KeyboardInterrupt:
            return


def _watch(supervisor: Supervisor, settings: Settings, demo: bool, console: Console) -> None:
    if not console.is_terminal:
        console.print(status.addresses(settings, demo))
    with Live(console=console, auto_refresh=False, transient=True) as live:
        said = 0.0
        while True:
            _keep(supervisor, console)
            now = datetime.now(UTC)
            try:
                current = status.read(settings)
            except psycopg.OperationalError as error:
                raise StackError(f"Postgres no longer answers: {error}") from error
            if console.is_terminal:
                live.update(status.view(current, settings, demo, now), refresh=True)
            elif time.monotonic() - said > 30:
                console.print(current, soft_wrap=True)
                said = time.monotonic()
            for _ in range(4):
                time.sleep(0.5)
                _keep(supervisor, console)


def _keep(supervisor: Supervisor, console: Console) -> None:
    for told in supervisor.check(SETTLED_S):
        console.print(told, highlight=False, markup=False, soft_wrap=True)
