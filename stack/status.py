"""What the live view shows: read from the tables, like everything else that looks from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stack.environment import ADMIN, airflow_secrets
from warehouse.roles import Role, connect, passwords
from warehouse.settings import Settings

WAREHOUSE = """
SELECT
    (SELECT value FROM ops.pipeline_metrics
     WHERE stage = 'ingest' AND metric = 'values_per_s' AND measured_at > clock_timestamp() - interval '1 minute'
     ORDER BY measured_at DESC LIMIT 1),
    (SELECT max(window_end) FROM ml.scores WHERE role = 'champion'),
    (SELECT count(*) FROM serving.recommendations_serving WHERE status = 'pending'),
    (SELECT array_agg(server || ' (' || state || ')' ORDER BY server)
     FROM serving.server_state WHERE state <> 'connected')
"""
# From the tick to the last task's end: what an operator waits for.
MINUTE = """
SELECT extract(EPOCH FROM end_date - run_after)::float FROM dag_run
WHERE dag_id = 'score_minutely' AND state = 'success' ORDER BY run_after DESC LIMIT 1
"""
CHAMPION = """
SELECT version FROM registered_model_aliases WHERE name = 'equipment_anomaly_detector' AND alias = 'champion'
"""


@dataclass(frozen=True)
class Status:
    """None where there is nothing to say yet. `minute_s` is from the minute's tick to the end of its run."""

    values_per_s: float | None
    last_window: datetime | None
    minute_s: float | None
    open_recommendations: int
    champion: str | None
    silent_servers: tuple[str, ...] = ()


def _one(settings: Settings, role: Role, query: str, dbname: str | None = None) -> tuple[object, ...] | None:
    with connect(settings, role, dbname, autocommit=True) as connection:
        try:
            return connection.execute(query).fetchone()
        except psycopg.errors.UndefinedTable:  # before the migrations of Airflow or MLflow
            return None


def read(settings: Settings) -> Status:
    """The state of the loop now; raises psycopg.OperationalError while Postgres doesn't answer."""
    rate, window, pending, silent = _one(settings, Role.BI, WAREHOUSE) or (None, None, 0, None)
    minute = _one(settings, Role.AIRFLOW, MINUTE, "airflow")
    champion = _one(settings, Role.MLFLOW, CHAMPION, "mlflow")
    return Status(
        values_per_s=rate if isinstance(rate, float) else None,
        last_window=window if isinstance(window, datetime) else None,
        minute_s=minute[0] if minute and isinstance(minute[0], float) else None,
        open_recommendations=pending if isinstance(pending, int) else 0,
        champion=str(champion[0]) if champion else None,
        silent_servers=tuple(silent) if isinstance(silent, list) else (),
    )


def addresses(settings: Settings, demo: bool) -> Table:
    """Where to look, with users and passwords."""
    secret = passwords(settings)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for whole in (True, True, False):  # an address that is cut short leads nowhere
        table.add_column(no_wrap=whole)
    airflow = f"http://127.0.0.1:{settings.airflow_port}"
    table.add_row("Airflow", airflow, f"user {ADMIN}, password {airflow_secrets(settings)['admin_password']}")
    table.add_row("MLflow", f"http://127.0.0.1:{settings.mlflow_port}", "no password")
    if settings.metrics_port:
        table.add_row("Collector", f"http://127.0.0.1:{settings.metrics_port}/metrics", "Prometheus; /healthz, /readyz")
    where = f"{settings.host}:{settings.port}/{settings.pgdatabase}"
    for role, what in ((Role.BI, "read marts"), (Role.OPERATOR, "HMI")):
        table.add_row(
            "Postgres" if role is Role.BI else "",
            f"postgresql://{where}",
            f"user {role.user(settings)}, password {secret[role]} ({what})",
        )
    if demo:
        table.add_row("OPC UA", f"opc.tcp://127.0.0.1:{settings.opcua_port}", "the demo plant")
    return table


def view(status: Status, settings: Settings, demo: bool, now: datetime) -> Group:
    """The live view."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    rate = "waiting for the first values" if status.values_per_s is None else f"{status.values_per_s:,.0f} values/s"
    silent = f"; {', '.join(status.silent_servers)}: its values are uncertain" if status.silent_servers else ""
    table.add_row("In", f"{rate}{silent}")
    if status.last_window is None:
        table.add_row("Scored", "no window yet")
    else:
        age = (now - status.last_window).total_seconds()
        took = "" if status.minute_s is None else f", its run was done {status.minute_s:.1f} s after the minute"
        table.add_row("Scored", f"up to {status.last_window:%H:%M} UTC ({age:.0f} s ago){took}")
    table.add_row("Recommendations", f"{status.open_recommendations} open")
    table.add_row("Champion", "none yet" if status.champion is None else f"version {status.champion}")
    title = Text("Millwright", style="bold") + Text("   Ctrl-C stops everything", style="dim")
    return Group(title, Text(), table, Text(), addresses(settings, demo))
