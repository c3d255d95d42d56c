"""A small plant for the models: the feature mart's columns, filled by numpy, and a registry in a file."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from ml.features import WINDOWS, micros
from ml.policy import Policy
from tests.conftest import free_port
from tests.integration.marts import make_marts
from warehouse.grid import on_grid
from warehouse.roles import Role, connect
from warehouse.settings import Settings

START = datetime(2026, 3, 6, tzinfo=UTC)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MACHINES = ("PUMP-1", "PUMP-2", "PUMP-3")
MEASURED = ("temperature", "vibration", "pressure")


@dataclass(frozen=True)
class Fault:
    """Deviations that grow linearly from nothing to `sigmas` between two moments."""

    machine: str
    measurement: str
    since: datetime
    until: datetime
    sigmas: float = 9.0


FAULTS = (
    Fault("PUMP-1", "vibration", START + timedelta(hours=20), START + timedelta(hours=28)),
    Fault("PUMP-2", "temperature", START + timedelta(hours=40), START + timedelta(hours=48)),
    Fault("PUMP-3", "vibration", START + timedelta(hours=60), START + timedelta(hours=68)),
    Fault("PUMP-2", "vibration", START + timedelta(hours=92), START + timedelta(hours=100)),
)
MODES = {"vibration": "bearing_wear", "temperature": "cooling_loss"}


def fill(
    connection: psycopg.Connection,
    since: datetime,
    until: datetime,
    faults: tuple[Fault, ...] = (),
    machines: tuple[str, ...] = MACHINES,
    state: str = "running",
    sparse: bool = False,
) -> None:
    """Upsert a row a machine and minute after `since` up to `until`, deviations being smooth noise plus faults.

    Where it is `sparse` only one minute of ten is written, as a first build does.
    """
    minutes = round((until - since) / timedelta(minutes=1))
    ends = [since + timedelta(minutes=i + 1) for i in range(minutes)]
    written = on_grid(np.array([micros(end) for end in ends])) if sparse else np.ones(minutes, bool)
    names = [
        "equipment_id",
        "window_end",
        "run_state",
        "is_running",
        "in_maintenance",
        "load_ratio",
        "regime",
        "over_gap",
        "available_at",
    ]
    names += [f"{m}_deviation_{w}m" for m in MEASURED for w in WINDOWS]
    names += [f"{m}_{what}" for m in MEASURED for what in ("mean_5m", "slope_60m", "flat_minutes")]
    text = io.StringIO()
    for machine in machines:
        rng = np.random.default_rng([ord(c) for c in machine] + [int(since.timestamp())])
        noise = {m: rng.normal(size=minutes + 60) for m in MEASURED}
        for i, end in enumerate(ends):
            if not written[i]:
                continue
            row: list[object] = [
                machine,
                end.isoformat(),
                state,
                str(state == "running").lower(),
                str(state == "maintenance").lower(),
                0.8,
                3,
                "false",
                end.isoformat(),
            ]
            shift = dict.fromkeys(MEASURED, 0.0)
            for fault in faults:
                if fault.machine == machine and fault.since < end <= fault.until:
                    shift[fault.measurement] += fault.sigmas * ((end - fault.since) / (fault.until - fault.since))
            for m in MEASURED:
                row += [round(float(noise[m][i + 60 - w : i + 60].mean() + shift[m]), 6) for w in WINDOWS]
            for m in MEASURED:
                row += [round(10 + shift[m], 3), round(shift[m] / 8, 4), 0]
            text.write("\t".join(str(value) for value in row) + "\n")
    columns = ", ".join(names)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE IF NOT EXISTS landing (LIKE marts.gold_ml_features INCLUDING DEFAULTS)")
        cursor.execute("TRUNCATE landing")
        with cursor.copy(f"COPY landing ({columns}) FROM STDIN") as copy:  # type: ignore[call-overload]
            copy.write(text.getvalue())
        updates = ", ".join(f"{name} = excluded.{name}" for name in [*names[2:], "built_xid"])
        cursor.execute(
            f"INSERT INTO marts.gold_ml_features SELECT * FROM landing"  # type: ignore[call-overload]
            f" ON CONFLICT (equipment_id, window_end) DO UPDATE SET {updates}"
        )


@pytest.fixture
def policy() -> Policy:
    """Four days are a short history: what lies around a failure is cut closer than in a plant."""
    return Policy(clear_days=0.5, positive_hours=6, max_normal_rows=20_000, shadow_hours=1, min_shadow_windows=60)


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's SQLite file with its tables; making them takes seconds, copying them none."""
    import mlflow

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def site(
    warehouse: Settings, empty_registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """A warehouse with an empty feature mart, three pumps, and state and registry of its own."""
    var = tmp_path / "var"
    var.mkdir()
    shutil.copy(warehouse.var / "passwords.json", var / "passwords.json")
    shutil.copy(empty_registry, var / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{var / 'mlflow.db'}")
    settings = warehouse.model_copy(update={"var": var, "mlflow_port": free_port()})
    with connect(settings, Role.TRANSFORM) as transform:
        make_marts(transform)
        transform.execute("ALTER TABLE marts.gold_ml_features ADD UNIQUE (equipment_id, window_end)")
        transform.execute("CREATE INDEX ON marts.gold_ml_features (built_xid)")
    with connect(settings, Role.INGEST) as ingest:
        ingest.execute("INSERT INTO raw.plants VALUES ('P', 'Plant', 'UTC')")
        for machine in MACHINES:
            ingest.execute(
                "INSERT INTO raw.equipment (equipment_id, plant_id, name, equipment_type) VALUES (%s, 'P', %s, 'pump')",
                (machine, machine),
            )
            ingest.execute(
                "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, unit, data_type)"
                " VALUES ('s', %s, %s, 'vibration', 'mm/s', 'double')",
                (machine, machine),
            )
    yield settings


Fill = Callable[..., None]


@pytest.fixture
def build(site: Settings) -> Iterator[Fill]:
    """`build(since, until, faults=…)` puts rows into the mart as the transform would."""
    with connect(site, Role.TRANSFORM, autocommit=True) as transform:

        def run(since: datetime, until: datetime, faults: tuple[Fault, ...] = (), **more: object) -> None:
            fill(transform, since, until, faults, **more)  # type: ignore[arg-type]

        yield run


@pytest.fixture
def with_past(site: Settings, build: Fill) -> Settings:
    """Four and a half days of history with four failures, the last within the held-out time."""
    build(START, NOON, FAULTS)
    with connect(site, Role.INGEST) as ingest:
        for number, fault in enumerate(FAULTS):
            ingest.execute(
                "INSERT INTO raw.cmms_failures (failure_id, equipment_id, component, failure_mode, failed_at,"
                " repaired_at, available_at) VALUES (%s, %s, 'bearing', %s, %s, %s, %s)",
                (
                    f"F{number}", fault.machine, MODES[fault.measurement], fault.until,
                    fault.until + timedelta(hours=1), fault.until + timedelta(hours=1),
                ),
            )  # fmt: skip
    return site


class Scores:
    """Writes scores as the champion would."""

    def __init__(self, settings: Settings) -> None:
        self._connection = connect(settings, Role.SCORE, autocommit=True)

    def __call__(
        self,
        machine: str,
        end: datetime,
        score: float,
        *,
        action: str = "schedule_maintenance",
        confidence: float = 0.9,
        precedent: bool | None = None,
        role: str = "champion",
    ) -> None:
        self._connection.execute(
            "INSERT INTO ml.scores (equipment_id, window_end, model_version, role, anomaly_score, action_code,"
            " confidence, precedent, estimated_ttf, moment) VALUES (%s, %s, '1', %s, %s, %s, %s, %s, 5.2, %s)",
            (machine, end, role, score, action, confidence, precedent, end),
        )

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def score(site: Settings, build: Fill) -> Iterator[Scores]:
    """`score(machine, end, value)` over machines that run and show nothing but noise."""
    build(NOON - timedelta(hours=1), NOON + timedelta(hours=2))
    scores = Scores(site)
    yield scores
    scores.close()


def shown(admin: psycopg.Connection) -> list[tuple[str, str, str]]:
    """Machine, severity and status of what operators see."""
    rows = admin.execute(
        "SELECT equipment_id, severity, status FROM serving.recommendations_serving ORDER BY timestamp, 1"
    )
    return [(row[0], row[1], row[2]) for row in rows]
