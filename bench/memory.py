"""Memory: the worker's over a soak at 10,000 values/s, and while Postgres takes nothing.

    python -m bench.memory             ten minutes, then one without INSERT
    python -m bench.memory --quick     seconds of each

A stub server sends ten notifications of 1,000 values a second. Resident memory is read every second. `slope_mb_per_h`
is that of a straight line through the soak after its first tenth; `ratio` is the mean of its last tenth over that of
its second. Both tell a leak; `away_mb` is what the worker grew by at most while every landing failed and the readings
went to the spool, which has drained in the end.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import psutil
import psycopg
import typer

from bench.plant import made_up_plant
from bench.programs import await_landing, program, write_plant
from bench.throwaway import throwaway_warehouse
from bench.wire import TAGS, stub
from warehouse.roles import Role, connect
from warehouse.settings import Settings

RATE = 10_000
LONGEST_START_S = 60
SOAK_S, QUICK_SOAK_S = 600, 12
AWAY_S, QUICK_AWAY_S = 60, 4
MEGABYTE = float(1 << 20)


def measure(rounds: int, quick: bool) -> dict[str, float]:
    """One soak, whatever `rounds` says: its length is in `soak_s`. Megabytes unless the key says otherwise."""
    soak_s, away_s = (QUICK_SOAK_S, QUICK_AWAY_S) if quick else (SOAK_S, AWAY_S)
    with throwaway_warehouse() as settings, stub() as server:
        plant = made_up_plant(TAGS, server.url, publishing_interval_ms=100)
        file = write_plant(plant, settings.var / "plant.yml")
        with (
            connect(settings, Role.ADMIN, autocommit=True) as admin,
            program("ingest", "run", "--plant", str(file), settings=settings) as worker,
        ):
            # More than is needed: the stub ends with the block.
            server.start(2 * (soak_s + away_s + LONGEST_START_S) * RATE // TAGS, RATE)
            await_landing(admin, TAGS, seconds=LONGEST_START_S)
            return soak(admin, worker, soak_s) | away(settings, admin, worker, away_s)


def soak(admin: psycopg.Connection, worker: subprocess.Popen[bytes], seconds: int) -> dict[str, float]:
    """Values/s that landed over the soak, and what became of the worker's memory."""
    before, begun = _rows(admin), time.monotonic()
    sampled = _sample(worker, seconds)
    rate = (_rows(admin) - before) / (time.monotonic() - begun)
    tenth = max(1, len(sampled) // 10)
    settled = sampled[tenth:]
    slope_mb_per_s = np.polyfit(np.arange(len(settled)), settled, 1)[0]
    first, last = float(np.mean(settled[:tenth])), float(np.mean(settled[-tenth:]))
    return {
        "values_per_s": rate,
        "soak_s": float(seconds),
        "first_mb": first,
        "last_mb": last,
        "peak_mb": max(sampled),
        "slope_mb_per_h": float(slope_mb_per_s) * 3600,
        "ratio": last / first,
    }


def away(
    settings: Settings, admin: psycopg.Connection, worker: subprocess.Popen[bytes], seconds: int
) -> dict[str, float]:
    """What the worker grows by while it may not insert, and how long the spool takes to drain afterwards."""
    before = max(_sample(worker, 3))
    admin.execute("REVOKE INSERT ON raw.sensor_events FROM millwright_ingest")
    sampled = _sample(worker, seconds)
    spooled = sum(path.stat().st_size for path in (settings.var / "spool").rglob("*.seg")) / MEGABYTE
    admin.execute("GRANT INSERT ON raw.sensor_events TO millwright_ingest")
    begun = time.monotonic()
    await_landing(admin, TAGS, seconds=10.0 * seconds + 60.0)
    return {
        "away_s": float(seconds),
        "away_mb": max(sampled) - before,
        "away_spooled_mb": spooled,
        "drained_s": time.monotonic() - begun,
    }


def _sample(worker: subprocess.Popen[bytes], seconds: int) -> list[float]:
    """The worker's resident memory in MB, once a second for `seconds`."""
    watched = psutil.Process(worker.pid)
    sampled = []
    for _ in range(seconds):
        time.sleep(1.0)
        sampled.append(watched.memory_info().rss / MEGABYTE)
    return sampled


def _rows(admin: psycopg.Connection) -> int:
    row = admin.execute("SELECT count(*) FROM raw.sensor_events").fetchone()
    return int(row[0]) if row is not None else 0


def main(quick: bool = False) -> None:
    if not quick:
        typer.echo(f"a soak of {SOAK_S} s and {AWAY_S} s without INSERT", file=sys.stderr)
    for key, value in measure(1, quick).items():
        typer.echo(f"{key:24} {value:12,.2f}")


if __name__ == "__main__":
    typer.run(main)
