"""The steps that make an installation ready, each a call of another folder's function.

A step runs in a process of its own (`python -m stack step NAME`), can be repeated without harm, and says how far it is.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from ml.policy import Policy
from stack.errors import StackError
from warehouse.grid import GRID_MINUTES
from warehouse.settings import HOME, Settings

Report = Callable[[str, int, int | None], None]
# What the first score waits for: the minute path and the views that it and the first training read. Boards and facts
# are built by their DAGs.
FIRST_BUILD = "+tag:minute +ml_training_set"
# A minute builds tables alone; without these views neither a plant that has no past nor an upgraded one gets its first.
MINUTE_VIEWS = "+tag:minute,config.materialized:view"
# Of history training takes the minutes of its grid and every minute of the hours before a failure; silver's past is for
# looking at.
FIRST_BUILD_VARS = {
    "gold_stride": GRID_MINUTES,
    "gold_dense_days": 0.125,
    "event_hours": Policy().positive_hours,
    "silver_days": 0.25,
}
# The last long one of the first build's models: what comes next is imported beside it.
LAST_MODEL = "gold_ml_features"
# What a build imports.
DBT = ("dbt.cli.main", "dbt.adapters.postgres", "dbt.task.build", "warehouse.transform")
# That of `python -m simulator serve`: the live plant goes on where the history ends.
SEED = 7


@dataclass(frozen=True)
class Context:
    """What the steps work on: `until` is where the history ends and the live plant begins."""

    settings: Settings
    until: datetime
    history_days: int
    report: Report

    @property
    def history(self) -> Path:
        return self.settings.var / "history"


@dataclass(frozen=True)
class Step:
    """`needs` are steps that come first. `made_for` changes when the step has to be done again; None: every start.

    `imports` take seconds of one core: a step that has them is started while the last of its needs are under way (and
    have come to the stage `held_from`, where one is named) or while the step `held_beside` is, imports them, does what
    `warms_up` it, and is held until its needs are done. `covers` are steps whose work it does, too, so that they aren't
    begun. Nobody waits for a `late` one: it is run when the processes have started.
    """

    title: str
    run: Callable[[Context], None]
    needs: tuple[str, ...] = ()
    made_for: str | None = "1"
    demo: bool = False
    imports: tuple[str, ...] = ()
    held_from: str | None = None
    held_beside: str | None = None
    warms_up: Callable[[Settings], None] = lambda settings: None
    covers: tuple[str, ...] = ()
    late: bool = False


def _migrate(context: Context) -> None:
    from warehouse.migrate import migrate

    migrate(context.settings)


def _airflow(_context: Context) -> None:
    subprocess.run(["airflow", "db", "migrate"], check=True, stdin=subprocess.DEVNULL)


def _mlflow(context: Context) -> None:
    _upgrade_mlflow(context.settings)


def _upgrade_mlflow(settings: Settings) -> None:
    from mlflow.db import upgrade

    from warehouse.roles import Role, url

    # The command's function: on the command line the password would show in the list of processes.
    upgrade.callback(url(settings, Role.MLFLOW, "mlflow", driver="psycopg2"))


def _plant(context: Context) -> None:
    from ingest.plant import load_plant
    from ingest.tags import sync_plant

    sync_plant(context.settings, load_plant(context.settings.plant), datetime.now(UTC))


def _history(context: Context) -> None:
    from ingest.plant import load_plant
    from simulator.history import write_history

    def progress(done: int, of: int) -> None:
        context.report("days", done, of)

    # The plant as it is shipped: tags that a derived plant file adds have no past.
    plant = load_plant(HOME / "plant.yml")
    write_history(plant, SEED, context.history_days, context.until, context.history, progress)


def _readings(context: Context) -> None:
    from ingest.files.backfill import backfill
    from ingest.files.mapping import load_mapping

    mapping = load_mapping(HOME / "maps" / "demo_history.yml")
    backfill(context.settings, context.history / "readings.parquet", mapping, context.until, context.report)


def _records(context: Context) -> None:
    from ingest.files.load import load

    for system in ("mes", "sap", "cmms"):
        load(context.settings, system, sorted(context.history.glob(f"{system}_*.csv")))


def _models() -> str:
    """A hash of dbt's models as they are shipped."""
    models = HOME / "dbt_project" / "models"
    digest = hashlib.sha256()
    for path in sorted(models.rglob("*.sql")):
        digest.update(f"{path.relative_to(models)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _views(context: Context) -> None:
    _build(context, MINUTE_VIEWS)


def _features(context: Context) -> None:
    # Live readings have come in since `until`; they are part of this build.
    _build(context, FIRST_BUILD)


def _build(context: Context, select: str) -> None:
    from warehouse.transform import build

    # With the same variables, or dbt would parse the whole project again. warehouse_daily runs the tests.
    result = build(
        context.settings, datetime.now(UTC), select, variables=FIRST_BUILD_VARS, tests=False, progress=context.report
    )
    if not result.succeeded:
        raise StackError(f"dbt build failed: {'; '.join(result.failures)}")


def _parse(settings: Settings) -> None:
    from warehouse.transform import parse

    parse(settings, FIRST_BUILD_VARS)


def _past(context: Context) -> None:
    from ml.learning.feedback import sync
    from ml.learning.history import import_history

    folder = context.history
    import_history(context.settings, folder / "past_recommendations.csv", folder / "operator_answers.csv")
    # What was answered is what the first model learns from.
    sync(context.settings, context.until)


def _model(context: Context) -> None:
    from ml import minute
    from ml.learning.training import train

    result = train(context.settings, datetime.now(UTC), bootstrap=True)
    if result.model_version is None:
        raise StackError(f"no first model: {result.reason}")
    # What the first build made is scored now, and not once Airflow has started.
    minute.run(context.settings, datetime.now(UTC))


def _registry(settings: Settings) -> None:
    from ml.registry import require

    # Its process has imported MLflow anyway.
    _upgrade_mlflow(settings)
    require(settings)


def _card(context: Context) -> None:
    from ml import registry
    from ml.learning import card

    version = registry.aliases(context.settings)[registry.CHAMPION]
    if version is None:
        raise StackError("no champion to write a card for")
    card.publish(context.settings, version)


# In the order in which they are begun where two could be: the history's way to the first score comes first.
STEPS: dict[str, Step] = {
    "migrate": Step("Warehouse migrations", _migrate, made_for=None),
    "history": Step("History of the demo plant", _history, demo=True),
    "plant": Step("Tags of the plant file", _plant, ("migrate",), made_for=None),
    "readings": Step(
        "Landing the readings", _readings, ("plant", "history"), demo=True, imports=("ingest.files.backfill",)
    ),
    # While the first model trains, which leaves a core.
    "airflow": Step("Airflow's database", _airflow, ("migrate", "features"), made_for=version("apache-airflow")),
    "records": Step("Loading MES, SAP and CMMS", _records, ("plant", "history"), demo=True),
    "features": Step(
        "Features, by dbt",
        _features,
        ("readings", "records"),
        demo=True,
        imports=DBT,
        # Which leaves a core; landing, the last of the needs, does not.
        held_beside="history",
        warms_up=_parse,
        covers=("views",),
    ),
    "mlflow": Step("MLflow's database", _mlflow, ("migrate",), made_for=version("mlflow")),
    "past": Step("Past recommendations and answers", _past, ("records",), demo=True),
    "model": Step(
        "The first model and its scores",
        _model,
        ("features", "past"),
        demo=True,
        imports=("ml.bundle", "ml.minute", "ml.learning.training", "mlflow.sklearn", "skops.io"),
        held_from=LAST_MODEL,
        warms_up=_registry,
        covers=("mlflow",),
    ),
    "card": Step("The first model's card", _card, ("model",), demo=True, late=True),
    # For a plant that has no past, and for models that are new.
    "views": Step(
        "Views that a minute reads",
        _views,
        ("migrate", "features"),
        made_for=_models(),
        imports=DBT,
        warms_up=_parse,
    ),
}


def progress_file(settings: Settings, name: str) -> Path:
    return settings.var / "prepare" / f"{name}.progress"


def run_step(settings: Settings, name: str, until: datetime, history_days: int, held: bool = False) -> None:
    """Run one step in this process; its progress goes to `var/prepare/NAME.progress` as JSON [stages, done, total], the
    stages in the order in which it came to them.

    A `held` one, warmed up, waits for a line on its standard input; it raises where that ends instead.
    """
    if name not in STEPS:
        raise StackError(f"step must be one of {', '.join(STEPS)}. Got: {name!r}")
    for module in STEPS[name].imports:
        import_module(module)
    STEPS[name].warms_up(settings)
    if held and not sys.stdin.readline():
        raise StackError(f"step {name} was held for another one, and let go before that was done")
    path = progress_file(settings, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0.0
    stages: list[str] = []
    writing = threading.Lock()

    def report(stage: str, done: int, total: int | None) -> None:
        nonlocal written
        with writing:
            new = stages[-1:] != [stage]
            if new:
                stages.append(stage)
            if new or time.monotonic() - written > 0.2 or done == total:
                partial = path.with_suffix(".partial")
                partial.write_text(json.dumps([stages, done, total]))
                partial.replace(path)
                written = time.monotonic()

    STEPS[name].run(Context(settings, until, history_days, report))
