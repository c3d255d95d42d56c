"""The disk of the spool is full: values wait on the server, and what it can't hold is in the ledger."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.faults.case import Case, Cases
from tests.e2e.faults.counters import HZ
from tests.e2e.faults.matrix import Matrix

_TMPFS = "size=4m,mode=700"
_QUEUE_S = 6
_BOUND_BYTES = 30_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The spool's folder on a disk of 4 MB."""
    folder = tmp_path / "spool"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small disk that this fills")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", _TMPFS, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte that is left."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return filler


def spooled(made: Case) -> int:
    return sum(path.stat().st_size for path in (made.settings.var / "spool").rglob("*.seg"))


@pytest.mark.parametrize("seconds", [3.0, 15.0])
def test_a_full_disk(cases: Cases, small_disk: Path, matrix: Matrix, seconds: float) -> None:
    """For less than the server's queues hold nothing is lost; for longer, it is said."""
    made = cases.make(queue_size=_QUEUE_S * HZ)
    made.begin()
    with made.outage(ends=True):
        filler = fill(small_disk)
        time.sleep(seconds)
        assert made.worker.alive()
        filler.unlink()
    matrix.end(made, f"spool's disk full for {seconds:.0f} s", lossless=seconds < _QUEUE_S)


def test_a_spool_at_its_bound(cases: Cases, admin: psycopg.Connection, matrix: Matrix) -> None:
    """The same by the spool's own bound, which needs no disk of its own: nothing lands."""
    made = cases.make(queue_size=_QUEUE_S * HZ, spool_gb=_BOUND_BYTES / 1e9)
    made.begin()
    with made.outage(ends=True):
        admin.execute("REVOKE INSERT ON raw.sensor_events FROM millwright_ingest")
        # What has landed before counts no more, and stays in its segment for a while.
        landed = spooled(made)
        time.sleep(20.0)
        assert _BOUND_BYTES / 2 < spooled(made) - landed < 2 * _BOUND_BYTES
        admin.execute("GRANT INSERT ON raw.sensor_events TO millwright_ingest")
    row = matrix.end(made, "spool at its bound", lossless=False)
    assert row.lost > 0, "the bound was never reached"
