"""Recorded readings along the product's path: a machine's history becomes features, a rig's replay becomes rows."""

import asyncio
import itertools
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import psycopg

from ingest.files.backfill import backfill
from ingest.files.mapping import load_mapping
from ingest.worker import collect
from simulator.replay import read_recording, replay, replay_plant
from warehouse.server import free_port
from warehouse.settings import Settings
from warehouse.transform import build

MAPS = Path(__file__).resolve().parents[3] / "maps"
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_recorded_machine_has_features_at_every_reading(
    warehouse: Settings, admin: psycopg.Connection, recorded_data: Path
) -> None:
    path = recorded_data / "nab" / "machine_temperature_system_failure.csv"
    backfill(warehouse, path, load_mapping(MAPS / "nab_machine_temperature.yml"), T0)
    times = pd.to_datetime(pd.read_csv(path)["timestamp"]).dt.tz_localize("UTC")
    end = (times.max() + pd.Timedelta(minutes=1)).to_pydatetime()
    models = "+gold_ml_features,resource_type:model"
    result = build(warehouse, end, select=models, variables={"gold_days": 90})
    assert result.succeeded, result.failures
    # Of a timestamp that occurs twice both values are kept, and the features take one of them.
    kept = "SELECT count(*), count(DISTINCT source_ts) FROM raw.sensor_events"
    assert admin.execute(kept).fetchone() == (len(times), len(times) - 12)
    chosen = """SELECT count(*) FROM (
        SELECT source_ts, array_agg(value) AS given FROM raw.sensor_events GROUP BY source_ts HAVING count(*) = 2
    ) AS twice JOIN intermediate.int_sensor_minutes ON minute = source_ts AND value_mean = ANY (given)"""
    assert admin.execute(chosen).fetchone() == (12,)
    found = admin.execute(
        "SELECT window_end - interval '1 minute', temperature_mean_5m IS NOT NULL, temperature_deviation_5m IS NULL"
        " FROM marts.gold_ml_features ORDER BY 1"
    ).fetchall()
    assert [row[0] for row in found] == [moment.to_pydatetime() for moment in sorted(times.unique())]
    assert all(row[1] for row in found)
    # A baseline takes a closed day of 60 minutes or more, and the first evening has 33.
    without = {row[0].date() for row in found if row[2]}
    assert without == {date(2013, 12, 2), date(2013, 12, 3)}


async def test_a_recorded_rig_lands_every_value_once(
    warehouse: Settings, admin: psycopg.Connection, recorded_data: Path, tmp_path: Path
) -> None:
    lines = (recorded_data / "skab" / "valve1" / "0.csv").read_text().splitlines(keepends=True)
    (tmp_path / "0.csv").write_text("".join(lines[:61]))
    (tmp_path / "passwords.json").write_text((warehouse.var / "passwords.json").read_text())
    settings = warehouse.model_copy(update={"var": tmp_path})
    mapping, port = load_mapping(MAPS / "skab.yml"), free_port()
    recording = read_recording([tmp_path / "0.csv"], mapping)
    plant = replay_plant(mapping, [tmp_path / "0.csv"], f"opc.tcp://127.0.0.1:{port}", 20.0)
    stop = asyncio.Event()
    serving = asyncio.create_task(replay(recording, plant, "127.0.0.1", port, 20.0, asyncio.Event()))
    collecting = asyncio.create_task(collect(settings, plant, ["replay"], stop))
    try:
        assert await asyncio.wait_for(serving, 60) == 60 * 8
    finally:
        stop.set()
        await collecting
    rows = admin.execute(
        "SELECT measurement, position, value FROM raw.sensor_events JOIN raw.tags USING (tag_id) WHERE status = 0"
        " ORDER BY measurement, position, source_ts"
    ).fetchall()
    landed = {key: [row[2] for row in group] for key, group in itertools.groupby(rows, key=lambda row: row[:2])}
    recorded = pd.read_csv(tmp_path / "0.csv", sep=";")
    wanted = {(c.measurement, c.position): recorded[name].tolist() for name, c in mapping.columns.items()}
    assert landed == wanted
    # Repeated values among them, which a subscription without a word about timestamps leaves out.
    pressure = Counter(a == b for a, b in itertools.pairwise(wanted["pressure", ""]))
    assert pressure[True] > 0
