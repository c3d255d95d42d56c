"""The rows of all families: held to the promise one by one, printed and written together."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.faults.case import Case
from tests.e2e.faults.counters import HZ
from tests.e2e.faults.verdict import Row
from tests.e2e.faults.worker import PUBLISHING_MS

PROPERTY = "fault matrix"
# A publishing interval, and a tick: nothing is measured finer, and a server's timer is never early.
WIDEST_OVER_S = PUBLISHING_MS / 1000 + 1 / HZ
COLUMNS = (
    "fault", "server", "times", "offered", "landed", "rejected", "duplicates", "wrong", "lost_in_ledger",
    "lost_not_in_ledger", "landed_in_gap", "gap_s", "outage_s", "widest_gap_over_s",
)  # fmt: skip


class Matrix:
    """Takes the rows of a test: `keep` gets each as a property of the test, so that they meet again in the report."""

    def __init__(self, keep: Callable[[str, object], None]) -> None:
        self._keep = keep

    def end(self, made: Case, fault: str, *, lossless: bool, times: int | None = None) -> Row:
        """End a case and add its row, which is waited for until it can keep the promise that it is held to."""
        row = made.end(fault, lossless=lossless, times=times)
        self.add(row, lossless=lossless)
        return row

    def add(self, row: Row, *, lossless: bool) -> None:
        """Keep a row and hold it to the promise: nothing twice, nothing lost unsaid, no ledger row that explains more
        than the outage and a publishing interval; a `lossless` fault loses nothing at all."""
        self._keep(PROPERTY, asdict(row))
        assert row.offered > 0
        assert (row.duplicates, row.wrong, row.lost_not_in_ledger, row.landed_in_gap) == (0, 0, 0, 0), row
        if lossless:
            assert row.lost == 0, row
        if row.widest_gap_over_s is not None:
            assert row.widest_gap_over_s <= WIDEST_OVER_S, row


def table(rows: list[Row]) -> Iterator[str]:
    """The matrix as lines."""
    cells = [COLUMNS]
    for row in rows:
        values = asdict(row)
        cells.append(tuple("" if values[column] is None else str(values[column]) for column in COLUMNS))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def write(rows: list[Row], path: Path) -> None:
    """The matrix as JSON, with what it was measured on."""
    measured = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(measured, indent=2) + "\n")
