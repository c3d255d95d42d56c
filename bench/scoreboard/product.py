"""The product's own commands against a throw-away warehouse: what a plant's engineer would run, and its scores."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import typer

from warehouse import server
from warehouse.migrate import migrate
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import HOME, Settings

# From where a score is a candidate for the operator, as shipped: no set chooses it.
SHOWN = 0.7
CRITICAL = 0.9
_NOT_HERE = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "MLFLOW_TRACKING_URI", "MILLWRIGHT_PLANT")


class Product:
    """Runs `python -m …` of the project against one warehouse. Raises CalledProcessError where a command fails."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._environment = {name: value for name, value in os.environ.items() if name not in _NOT_HERE} | {
            "MILLWRIGHT_VAR": str(settings.var),
            "MILLWRIGHT_POSTGRES_PORT": str(settings.postgres_port),
            "MILLWRIGHT_MLFLOW_PORT": str(settings.mlflow_port),
        }

    def run(self, *arguments: str) -> None:
        """One command, to its end."""
        _say(arguments)
        subprocess.run(
            [sys.executable, "-m", *arguments], cwd=HOME, env=self._environment, check=True, stdout=sys.stderr
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command beside the block, ended with it."""
        _say((*arguments, "&"))
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=HOME, env=self._environment, stdout=sys.stderr
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def scores(self) -> pd.DataFrame:
        """Every current score by machine and time: equipment_id, window_end (UTC, without zone), anomaly_score,
        action_code, confidence, estimated_ttf (hours, NaN where there is none)."""
        with connect(self.settings, Role.BI) as connection:
            rows = connection.execute(
                "SELECT equipment_id, window_end AT TIME ZONE 'UTC', anomaly_score, action_code, confidence,"
                " estimated_ttf FROM ml.scores WHERE superseded_at IS NULL ORDER BY equipment_id, window_end"
            ).fetchall()
        names = ["equipment_id", "window_end", "anomaly_score", "action_code", "confidence", "estimated_ttf"]
        found = pd.DataFrame(rows, columns=names)
        return found.astype({"anomaly_score": float, "confidence": float, "estimated_ttf": float})


@contextmanager
def product(folder: Path) -> Iterator[Product]:
    """A migrated, empty warehouse under `folder` for the length of the block."""
    var = folder / "var"
    var.mkdir(parents=True)
    for path in (folder, var):
        path.chmod(0o755)  # as root, Postgres runs as a system user that has to get in
    settings = Settings(
        var=var, postgres_port=free_port(), mlflow_port=free_port(), pghost=None, pgdatabase="millwright"
    )
    with server.running(settings):
        migrate(settings)
        yield Product(settings)


def listening(port: int, process: subprocess.Popen[bytes], timeout_s: float = 300.0) -> None:
    """Return once `process` answers at `port` of this machine; raises RuntimeError where it doesn't."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"nothing listens at port {port}")


def _say(arguments: tuple[str, ...]) -> None:
    typer.echo(f"$ python -m {' '.join(arguments)}", err=True)


def reason(error: Exception) -> str:
    """What to say of a path that failed; the command's own output is on stderr."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"python -m {' '.join(error.cmd[2:5])} ended with exit code {error.returncode}"
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def shortened(variables: Mapping[str, object]) -> str:
    """dbt vars that differ from those shipped, as the report says them."""
    return ", ".join(f"`{name}` {value}" for name, value in variables.items())
