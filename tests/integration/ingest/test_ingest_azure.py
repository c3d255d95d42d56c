"""The shipped maps on the real files: a historian's year with its SAP and CMMS, of which every row is usable."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.files.backfill import backfill
from ingest.files.load import load
from ingest.files.mapping import load_mapping
from ingest.files.table_map import load_table_map
from warehouse.settings import Settings

MAPS = Path(__file__).resolve().parents[3] / "maps" / "azure_pdm"
FILES = (
    ("sap", "plant", "machines.csv"),
    ("sap", "machines", "machines.csv"),
    ("cmms", "errors", "errors.csv"),
    ("cmms", "failures", "failures.csv"),
    ("cmms", "maint", "maint.csv"),
)


def land_azure(settings: Settings, folder: Path, scratch: Path, machines: int, since: datetime | None = None) -> int:
    """SAP and CMMS whole, telemetry of the first `machines` machines; returns how many readings landed."""
    for system, name, file in FILES:
        load(settings, system, [folder / file], load_table_map(MAPS / f"{name}.yml"), strict=True)
    path = scratch / "telemetry.parquet"
    wanted = pc.field("machineID") <= machines
    if since is not None:
        wanted &= pc.field("datetime") >= pa.scalar(since, pa.timestamp("ns"))
    pq.write_table(pq.read_table(folder / "telemetry_3h.parquet", filters=wanted), path)
    return backfill(settings, path, load_mapping(MAPS / "telemetry.yml"), datetime(2016, 1, 2, tzinfo=UTC)).landed


def test_the_azure_set_lands_whole(
    warehouse: Settings, admin: psycopg.Connection, recorded_data: Path, tmp_path: Path
) -> None:
    folder = recorded_data / "azure_pdm"
    assert land_azure(warehouse, folder, tmp_path, 2) == 2 * 2921 * 4
    counts = admin.execute(
        "SELECT (SELECT count(*) FROM raw.sap_plants), (SELECT count(*) FROM raw.sap_equipment),"
        " (SELECT count(*) FROM raw.cmms_errors), (SELECT count(*) FROM raw.cmms_failures),"
        " (SELECT count(*) FROM raw.cmms_maintenance), (SELECT count(*) FROM raw.rejected_rows)"
    ).fetchone()
    assert counts == (1, 80, 3107, 583, 2635, 0)
    # Every failure has its replacement but those of one early morning at the start.
    corrective = admin.execute("SELECT count(*) FROM raw.cmms_maintenance WHERE kind = 'corrective'").fetchone()
    assert corrective == (583 - 13,)
    asset = admin.execute(
        "SELECT model, commissioned_on FROM raw.sap_equipment WHERE equipment_id = 'PDM-1'"
    ).fetchone()
    assert asset == ("model3", datetime(1997, 1, 1).date())  # noqa: DTZ001
    tags = admin.execute(
        "SELECT equipment_id, count(*), string_agg(measurement, ' ' ORDER BY measurement) FROM raw.tags"
        " GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert tags == [(f"PDM-{number}", 4, "pressure speed vibration voltage") for number in (1, 2)]
    first = admin.execute(
        "SELECT source_ts, value, available_at, origin::text FROM raw.sensor_events JOIN raw.tags USING (tag_id)"
        " WHERE equipment_id = 'PDM-1' AND measurement = 'speed' ORDER BY source_ts LIMIT 1"
    ).fetchone()
    assert first is not None
    stamp = datetime(2015, 1, 1, 7, tzinfo=UTC)
    assert (first[0], round(first[1], 4), first[2], first[3]) == (stamp, 414.5649, stamp, "backfill")
    assert land_azure(warehouse, folder, tmp_path, 2) == 0
    assert admin.execute("SELECT count(*) FROM raw.former_rows").fetchone() == (0,)
