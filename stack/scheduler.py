"""Airflow's scheduler, with the libraries of the minute's tasks imported before it forks its workers.

A task is a fork of a fork of this process. What is imported here costs a task nothing and its memory is shared;
imported in the task, dbt alone would cost every minute seconds of both cores. For the same reason dbt reads its project
here once: the first minute and the first hour would both read it anew after a first build, which has other variables,
and in every task dbt would make its readers of what it kept.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time

from warehouse.errors import WarehouseError
from warehouse.settings import Settings

PRELOADED = (
    "warehouse.transform",
    "ml.scoring",
    "ml.recommending.publishing",
    "ml.recommending.explanations",
    "ml.learning.feedback",
    # What the first of them imports late. Scoring needs neither scikit-learn nor MLflow.
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "dbt.task.build",
)

log = logging.getLogger(__name__)


def preload(settings: Settings) -> float:
    """Import what the tasks of every minute need and read dbt's project; returns the seconds that took."""
    from warehouse.transform import parse

    started = time.monotonic()
    for name in PRELOADED:
        importlib.import_module(name)
    try:
        parse(settings)
    except WarehouseError as error:
        log.warning("%s; each task that needs the project will say so, too", error)
    return time.monotonic() - started


def run() -> None:
    """Become the scheduler. The API server reads the task logs itself, so none are served from here."""
    from airflow.__main__ import main

    seconds = preload(Settings())
    log.warning("preloaded the tasks' libraries in %.1f s", seconds)
    sys.argv = ["airflow", "scheduler", "--skip-serve-logs"]
    os.environ.setdefault("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    main()
