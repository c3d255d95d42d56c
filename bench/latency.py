"""Latency: from the change of a tag to its committed row, and to the NOTIFY of a critical alert received.

    python -m bench.latency

The worker collects from a Python OPC UA server in another process that publishes every 100 ms, at 1,000 and at
5,000 values/s. A row's moment is that of its transaction's commit by Postgres' own account (track_commit_timestamp),
taken right before the flush; `flush_ms` is what a commit of one row takes on this disk. A NOTIFY is sent after the
flush, so its figure includes it. `ratio` is p99 at the highest rate over the 250 ms that are expected.
"""

from __future__ import annotations

import json
import statistics
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import typer

from bench.plant import made_up_plant
from bench.programs import await_landing, await_port, program, write_plant
from bench.throwaway import throwaway_warehouse
from warehouse.roles import Role, connect
from warehouse.server import free_port
from warehouse.settings import Settings

TAGS = 1_000
RATES = (1_000, 5_000)
PUBLISHING_MS = 100
EXPECTED_MS = 250.0
SETTLING_S = 3.0
LAG = """
SELECT count(*), percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
    ORDER BY extract(EPOCH FROM pg_xact_commit_timestamp(landed_xid::xid) - source_ts) * 1000)
FROM raw.sensor_events WHERE source_ts >= %s AND source_ts < %s
"""


def measure(rounds: int, quick: bool) -> dict[str, float]:
    """Medians over `rounds` stretches of time; the keys of a rate end in it, such as `p99_ms_5000`."""
    seconds = 2.0 if quick else 6.0
    figures: dict[str, float] = {}
    with throwaway_warehouse("track_commit_timestamp = on") as settings:
        for rate in RATES[-1:] if quick else RATES:
            figures |= {f"{key}_{rate}": value for key, value in at_rate(settings, rate, rounds, seconds).items()}
        figures["flush_ms"] = flush_ms(settings)
    return {
        "values_per_s": figures[f"values_per_s_{RATES[-1]}"],
        "expected_p99_ms": EXPECTED_MS,
        "ratio": figures[f"p99_ms_{RATES[-1]}"] / EXPECTED_MS,
        **figures,
    }


def at_rate(settings: Settings, rate: int, rounds: int, seconds: float) -> dict[str, float]:
    """Values/s that landed, and p50 and p99 in ms of rows and of notifications, at `rate` values/s."""
    port = free_port()
    plant = made_up_plant(TAGS, f"opc.tcp://127.0.0.1:{port}", publishing_interval_ms=PUBLISHING_MS)
    file = write_plant(plant, settings.var / f"plant-{rate}.yml")
    with (
        program("bench.changing", str(file), str(port), "--rate", str(rate)) as changing,
        connect(settings, Role.ADMIN, autocommit=True) as admin,
    ):
        await_port(port, changing)
        with program("ingest", "run", "--plant", str(file), settings=settings):
            await_landing(admin, TAGS, seconds=60.0)
            time.sleep(SETTLING_S)
            begun = datetime.now(UTC)
            announced = _listen(settings, rounds * seconds)
            time.sleep(1.0)  # what changed last is yet to land
            figures: dict[str, list[float]] = {"values_per_s": [], "p50_ms": [], "p99_ms": []}
            for number in range(rounds):
                first = begun + timedelta(seconds=number * seconds)
                row = admin.execute(LAG, (first, first + timedelta(seconds=seconds))).fetchone()
                if row is None or not row[0]:
                    raise RuntimeError(f"nothing landed at {rate} values/s")
                for key, value in zip(figures, (row[0] / seconds, *row[1]), strict=True):
                    figures[key].append(value)
    if not announced:
        raise RuntimeError(f"no alert was announced at {rate} values/s")
    quantiles = np.percentile(announced, [50, 99]).tolist()
    return {key: statistics.median(values) for key, values in figures.items()} | {
        "notify_p50_ms": quantiles[0],
        "notify_p99_ms": quantiles[1],
        "notified": float(len(announced)),
    }


def flush_ms(settings: Settings) -> float:
    """Median of what a commit of one row takes, in ms."""
    taken = []
    with connect(settings, Role.ADMIN, autocommit=True) as admin:
        admin.execute("CREATE TABLE flushed (moment timestamptz)")
        for _ in range(50):
            begun = time.perf_counter()
            admin.execute("INSERT INTO flushed VALUES (now())")
            taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def _listen(settings: Settings, seconds: float) -> list[float]:
    """Milliseconds from the change of a tag to its critical alert's arrival here, for `seconds`."""
    lags: list[float] = []
    with connect(settings, Role.BI, autocommit=True) as listener:
        listener.execute("LISTEN equipment_recommendations")
        until = time.monotonic() + seconds
        for notification in listener.notifies(timeout=seconds):
            received = datetime.now(UTC)
            told = json.loads(notification.payload)
            if told["kind"] == "alert" and told["severity"] == "critical" and told["state"] == "active":
                changed = datetime.fromisoformat(told["timestamp"])
                lags.append((received - changed) / timedelta(milliseconds=1))
            if time.monotonic() > until:
                break
    return lags


def main(rounds: int = 5, quick: bool = False) -> None:
    for key, value in measure(rounds, quick).items():
        typer.echo(f"{key:24} {value:12,.2f}")


if __name__ == "__main__":
    typer.run(main)
