"""What a DAG's tasks need of the run that they are in: the moment it works for, and settings.

Imported inside tasks only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from stack.errors import StackError
from warehouse.settings import Settings


class Outcome(Protocol):
    """What dbt runs and checkpoints return."""

    @property
    def succeeded(self) -> bool: ...
    @property
    def failures(self) -> list[str]: ...
    @property
    def warnings(self) -> list[str]: ...


def moment_of(run: Any) -> datetime:
    """The moment that a DAG run works for, in UTC; the same at every try and every clearing of the run.

    That is the tick of the schedule. A run started by hand or by an asset may have no logical date (Airflow 3);
    there it is the time from which the run was allowed to start.
    """
    moment: datetime = run.logical_date or run.run_after
    return moment.astimezone(UTC)


def moment() -> datetime:
    """`moment_of` the run that the calling task belongs to."""
    from airflow.sdk import get_current_context

    return moment_of(get_current_context()["dag_run"])


def settings() -> Settings:
    """The installation that the scheduler belongs to, from its environment."""
    return Settings()


@contextmanager
def skipped_by(reason: type[Exception]) -> Iterator[None]:
    """Skip the task, and what follows it, where the block raises `reason`: there is nothing to do yet, nothing failed.

    The message is the last line of the task's log.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    try:
        yield
    except reason as error:
        raise AirflowSkipException(str(error)) from error


def require(outcome: Outcome, what: str) -> None:
    """Fail the task unless `outcome` succeeded; the message lists what failed, the task's log what only warned."""
    for warning in outcome.warnings:
        logging.getLogger(__name__).warning("%s: %s", what, warning)
    if not outcome.succeeded:
        raise StackError(f"{what} failed: {'; '.join(outcome.failures) or 'no reason given'}")
