"""`dbt source freshness`: an enterprise table is as fresh as its last load, whatever that brought."""

from __future__ import annotations

from pathlib import Path

import psycopg

from ingest.files.load import load
from warehouse.settings import Settings
from warehouse.transform import PROJECT, invoke


def stale(settings: Settings, source: str) -> list[str]:
    """The names of the sources that are past their error threshold."""
    arguments = ["source", "freshness", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    output = ["--output", str(settings.var / "sources.json"), "--quiet", "--log-level-file", "none"]
    result = invoke(settings, [*arguments, *output, "--select", f"source:{source}"])
    return [line.partition(":")[0] for line in result.failures]


def test_a_load_that_brings_nothing_new_is_fresh(
    warehouse: Settings, admin: psycopg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "mes_shifts.csv"
    path.write_text(
        "shift_id,shift,starts_at,ends_at,available_at\nS1,day,2026-01-01T06:00Z,2026-01-01T14:00Z,2026-01-01\n"
    )
    load(warehouse, "mes", [path])
    admin.execute("UPDATE raw.loads SET loaded_at = now() - interval '8 days'")
    assert stale(warehouse, "raw.mes_shifts") == ["mes_shifts"]
    (again,) = load(warehouse, "mes", [path])
    assert (again.inserted, again.updated) == (0, 0)
    assert stale(warehouse, "raw.mes_shifts") == []
