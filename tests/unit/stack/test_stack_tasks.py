"""The moment of a run, outcomes that fail a task, and what the pruner removes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from stack.errors import StackError
from stack.pruner import prune_logs
from stack.tasks import moment_of, require

TICK = datetime(2026, 3, 1, 2, 0, tzinfo=timezone(timedelta(hours=1)))


def test_a_scheduled_run_works_for_its_tick_in_utc() -> None:
    run = SimpleNamespace(logical_date=TICK, run_after=TICK + timedelta(hours=9))
    assert moment_of(run) == datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
    assert moment_of(run).tzinfo is UTC


def test_a_run_without_a_logical_date_works_for_when_it_was_allowed_to_start() -> None:
    assert moment_of(SimpleNamespace(logical_date=None, run_after=TICK)) == TICK


@dataclass
class Outcome:
    succeeded: bool
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def test_a_failed_outcome_fails_the_task_and_says_what() -> None:
    require(Outcome(True), "dbt build")
    with pytest.raises(StackError, match="dbt build failed: not_null_x; unique_y"):
        require(Outcome(False, ["not_null_x", "unique_y"]), "dbt build")


def test_a_warning_is_in_the_tasks_log_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    require(Outcome(True, warnings=["freshness: 40 minutes"]), "checkpoint raw_landings")
    assert caplog.messages == ["checkpoint raw_landings: freshness: 40 minutes"]


def test_old_logs_and_their_empty_folders_go(tmp_path: Path) -> None:
    old, new = tmp_path / "dag_id=a" / "attempt=1.log", tmp_path / "dag_id=b" / "attempt=1.log"
    for path in (old, new):
        path.parent.mkdir()
        path.write_text("x")
    before = datetime.now(UTC) - timedelta(days=7)
    os.utime(old, (before.timestamp() - 60,) * 2)
    assert prune_logs(tmp_path, before) == 1
    assert not old.parent.exists() and new.exists()
