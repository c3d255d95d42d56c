"""What the scheduler has ready before it forks its tasks."""

from __future__ import annotations

import logging
import sys

import pytest

from stack import scheduler
from warehouse import transform
from warehouse.errors import WarehouseError
from warehouse.settings import Settings


def test_the_tasks_find_their_libraries_imported_and_the_project_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Settings] = []
    monkeypatch.setattr(transform, "parse", read.append)
    settings = Settings()
    assert scheduler.preload(settings) > 0
    assert read == [settings]
    assert set(scheduler.PRELOADED) <= sys.modules.keys()


def test_a_project_that_cannot_be_read_stops_no_scheduler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(settings: Settings) -> None:
        raise WarehouseError("dbt parse did not run: no such macro")

    monkeypatch.setattr(transform, "parse", broken)
    with caplog.at_level(logging.WARNING):
        scheduler.preload(Settings())
    assert "no such macro" in caplog.text
