"""Keeps Airflow's own tables and logs small.

`airflow db clean` can't run in a task (Airflow 3 gives tasks no database), so this is a process of the Procfile.
The table list is explicit: those that grow with every run, children before parents, so that no foreign key stands
in the way.
"""

from __future__ import annotations

import logging
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from warehouse.settings import Settings

log = logging.getLogger(__name__)

TABLES = (
    "xcom", "task_reschedule", "task_instance_history", "task_instance", "dag_run", "log", "job",
    "import_error", "asset_event", "callback", "deadline", "dag_version", "revoked_token",
)  # fmt: skip
KEEP = timedelta(days=7)
INTERVAL_S = 6 * 3600.0
# Not while everything else is starting.
DELAY_S = 15 * 60.0


def prune_tables(before: datetime) -> None:
    """Delete rows older than `before` (aware) from Airflow's tables, without an archive; raises if a table fails."""
    subprocess.run(
        ["airflow", "db", "clean", "--tables", ",".join(TABLES), "--clean-before-timestamp", before.isoformat(),
         "--skip-archive", "--yes", "--error-on-cleanup-failure"],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def prune_logs(folder: Path, before: datetime) -> int:
    """Delete log files last written before `before`, and the folders that this empties; returns how many files."""
    removed = 0
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime < before.timestamp():
            path.unlink()
            removed += 1
        elif path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
    return removed


def run(settings: Settings, delay: float = DELAY_S, interval: float = INTERVAL_S, keep: timedelta = KEEP) -> None:
    """Prune `delay` seconds from now and every `interval` seconds; a failure is logged and tried at the next tick."""
    time.sleep(delay)
    while True:
        before = datetime.now(UTC) - keep
        try:
            prune_tables(before)
            log.warning("removed %d log files", prune_logs(settings.var / "airflow" / "logs", before))
        except (subprocess.CalledProcessError, OSError):
            log.exception("pruning failed; next try in %.0f h", interval / 3600)
        time.sleep(interval)
