"""Fault cases on clones of the test warehouse, and the matrix that they add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.faults.case import Cases, settings_in
from tests.e2e.faults.matrix import PROPERTY, Matrix, table, write
from tests.e2e.faults.verdict import Row
from warehouse.settings import Settings


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--matrix", type=Path, help="write the fault matrix here, as JSON")
    group.addoption("--kills", type=int, default=20, help="how often the worker is killed")
    group.addoption("--away", type=float, default=60.0, help="seconds that Postgres is stopped")


@pytest.fixture
def matrix(record_property: Callable[[str, object], None]) -> Matrix:
    return Matrix(record_property)


@pytest.fixture
def cases(warehouse: Settings, tmp_path: Path) -> Iterator[Cases]:
    """Cases on the test's own clone of the warehouse."""
    with ExitStack() as stack:
        yield Cases(stack, settings_in(warehouse, tmp_path))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    # From the reports, wherever the tests ran.
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    rows = [
        Row(**value)
        for report in sorted(reports, key=lambda report: str(report.nodeid))
        if report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not rows:
        return
    terminalreporter.section("fault matrix")
    for line in table(rows):
        terminalreporter.write_line(line)
    if (path := config.getoption("--matrix", None)) is not None:
        write(rows, path)
