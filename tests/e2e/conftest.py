"""Two groups for two workers: what keeps the processors busy runs one after the other, beside what mostly waits."""

from __future__ import annotations

import pytest

BUSY = ("test_bench_scoring.py", "test_bench_warehouse.py", "test_readme.py", "test_stack_up.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.xdist_group("busy" if item.path.name in BUSY else "waiting"))
