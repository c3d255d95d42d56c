"""Landing: rows/s from the spool to committed rows, beside plain COPY (the limit) and executemany (a tutorial).

    python -m bench.land

The product's way keeps the key, the partitions, `tag_latest`, limits and the ledger; the limit is one COPY of the same
rows, encoded beforehand, into a table without any index; the tutorial inserts a notification at a time by executemany
into a table like the product's, and keeps nothing else. All three commit with fsync and take turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import typer
from psycopg import sql

from bench.plant import SERVER, made_up_plant, node_ids, notifications
from bench.throwaway import throwaway_warehouse
from ingest.collector import BATCH_BYTES
from ingest.landing.copying import COLUMNS, HEADER, TRAILER, encode
from ingest.landing.events import prepare
from ingest.landing.spool import Spool
from ingest.landing.writer import Writer
from ingest.readings import Readings, concatenate, from_bytes, to_bytes, to_datetime, to_us
from ingest.tags import sync_plant
from warehouse.roles import Role, connect
from warehouse.settings import Settings

TAGS = 1_000
INTERVAL_US = 100_000
NOTIFICATIONS = 200
TUTORIAL_NOTIFICATIONS = 20
BARE = (
    "tag_id integer, source_ts timestamptz, server_ts timestamptz, value double precision, value_text text,"
    " status bigint, digest bigint, origin raw.origin, available_at timestamptz"
)


def measure(rounds: int, quick: bool) -> dict[str, float]:
    """Medians over `rounds`: rows/s of the three ways, `ratio` to COPY and `tutorial_ratio` to executemany."""
    with throwaway_warehouse() as settings:
        return measure_in(settings, rounds, NOTIFICATIONS // 10 if quick else NOTIFICATIONS)


def measure_in(settings: Settings, rounds: int, count: int) -> dict[str, float]:
    """The same in a warehouse that is there, `count` notifications of TAGS rows a round."""
    plant = made_up_plant(TAGS)
    ids = sync_plant(settings, plant, datetime.now(UTC)).tag_ids
    tag_ids = np.array([ids[SERVER, node] for node in node_ids(plant)], np.int32)
    writer = Writer(settings, SERVER, plant, ids)
    taken: dict[str, list[float]] = {"rows_per_s": [], "copy_rows_per_s": [], "executemany_rows_per_s": []}
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with connect(settings, Role.ADMIN, autocommit=True) as admin, closing(writer):
        admin.execute(f"CREATE TABLE bare ({BARE})")
        admin.execute("CREATE TABLE tutorial (LIKE raw.sensor_events INCLUDING ALL) PARTITION BY RANGE (source_ts)")
        admin.execute("CREATE TABLE tutorial_rows PARTITION OF tutorial DEFAULT")
        for number in range(rounds + 1):
            batches = list(notifications(tag_ids, begin + timedelta(minutes=number), count, INTERVAL_US, seed=number))
            few = batches[: max(1, min(TUTORIAL_NOTIFICATIONS, count))]
            for key, seconds, rows in (
                ("rows_per_s", land(settings, writer, batches), TAGS * count),
                ("copy_rows_per_s", copy(admin, batches), TAGS * count),
                ("executemany_rows_per_s", insert(admin, few), TAGS * len(few)),
            ):
                if number:  # the first warms up: partitions, caches, plans
                    taken[key].append(rows / seconds)
        expected = (rounds + 1) * TAGS * count
        landed = admin.execute("SELECT count(*) FROM raw.sensor_events").fetchone()
        if landed != (expected,):
            raise RuntimeError(f"{expected} rows were to land. Got: {landed}")
    medians = {key: statistics.median(values) for key, values in taken.items()}
    return medians | {
        "ratio": medians["rows_per_s"] / medians["copy_rows_per_s"],
        "tutorial_ratio": medians["rows_per_s"] / medians["executemany_rows_per_s"],
    }


def land(settings: Settings, writer: Writer, batches: list[Readings]) -> float:
    """Seconds from a filled spool to an empty one, every row committed."""
    spool = Spool(settings.var / "spool" / "land", 1 << 30)
    for batch in batches:
        spool.append(to_bytes(batch))
    asyncio.run(spool.sync())
    writer.connect()
    moment = to_datetime(batches[-1].received_us)

    def drain() -> None:
        while payloads := spool.read(BATCH_BYTES):
            writer.land([from_bytes(payload) for payload in payloads], moment)
            spool.trim()

    seconds = _timed(drain)
    spool.close()
    return seconds


def copy(connection: psycopg.Connection, batches: list[Readings]) -> float:
    """Seconds of one binary COPY of the same rows."""
    prepared = prepare(concatenate(batches))
    available = np.full(len(prepared), to_us(datetime.now(UTC)), np.int64)
    encoded = HEADER + encode(prepared.readings, prepared.digest, "live", available) + TRAILER
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))

    def stream() -> None:
        statement = sql.SQL("COPY bare ({}) FROM STDIN (FORMAT binary)").format(columns)
        with connection.cursor() as cursor, cursor.copy(statement) as into:
            into.write(encoded)

    return _timed(stream)


def insert(connection: psycopg.Connection, batches: list[Readings]) -> float:
    """Seconds of an executemany a notification, each its own transaction."""
    statement = f"INSERT INTO tutorial ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"

    def tutorial() -> None:
        for batch in batches:
            prepared = prepare(batch)
            values = [
                (int(row["tag_id"]), to_datetime(row["source_ts"]), to_datetime(row["server_ts"]),
                 float(row["value"]), None, int(row["status"]), digest, "live", to_datetime(batch.received_us))
                for row, digest in zip(prepared.readings.rows, prepared.digest.tolist(), strict=True)
            ]  # fmt: skip
            with connection.transaction():
                connection.cursor().executemany(statement, values)

    return _timed(tutorial)


def _timed(run: Callable[[], None]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def main(rounds: int = 5, quick: bool = False) -> None:
    for key, value in measure(rounds, quick).items():
        typer.echo(f"{key:24} {value:12,.2f}")


if __name__ == "__main__":
    typer.run(main)
