"""Airflow's scheduler, with the libraries of the minute's tasks imported before it forks its workers.

A task is a fork of a fork of this process. What is imported here costs a task nothing and its memory is shared;
imported in the task, dbt alone would cost every minute seconds of both cores.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time

PRELOADED = (
    "warehouse.transform",
    "ml.scoring",
    "ml.publishing",
    "ml.explanations",
    "ml.feedback",
    # What the first of them imports late. Scoring needs neither scikit-learn nor MLflow.
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "dbt.task.build",
)

log = logging.getLogger(__name__)


def preload() -> float:
    """Import what the tasks of every minute need; returns the seconds that took."""
    started = time.monotonic()
    for name in PRELOADED:
        importlib.import_module(name)
    return time.monotonic() - started


def run() -> None:
    """Become the scheduler. The API server reads the task logs itself, so none are served from here."""
    from airflow.__main__ import main

    seconds = preload()
    log.warning("preloaded the tasks' libraries in %.1f s", seconds)
    sys.argv = ["airflow", "scheduler", "--skip-serve-logs"]
    os.environ.setdefault("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    main()
