"""What a landed row costs, part by part: binary COPY into tables that grow towards `raw.sensor_events`.

    python -m bench.layers

Microseconds a row, medians over rounds that take turns. The last two are the client's own: sorting with digests, and
encoding for COPY, which goes on while Postgres is busy with the block before.
"""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import typer
from psycopg import sql

from bench.land import BARE, INTERVAL_US, TAGS
from bench.plant import notifications
from bench.throwaway import throwaway_warehouse
from ingest.landing.copying import COLUMNS, HEADER, TRAILER, encode
from ingest.landing.events import prepare
from ingest.readings import concatenate, to_us
from warehouse.roles import Role, connect

NOTIFICATIONS = 28  # what the landing takes at once
VOLATILE = (
    ", landed_at timestamptz NOT NULL DEFAULT clock_timestamp(), landed_xid xid8 NOT NULL DEFAULT pg_current_xact_id()"
)
STABLE = VOLATILE.replace("clock_timestamp", "statement_timestamp")
KEY = ", PRIMARY KEY (tag_id, source_ts, digest)"
BTREE = "(landed_xid)"
# No operator class of BRIN takes xid8.
BRIN = "USING brin (((landed_xid::text)::bigint)) WITH (autosummarize = on)"
# name, what it is, columns and key beyond the bare ones, the index on landed_xid
LAYERS = (
    ("bare", "the limit: COPY without any index", "", None),
    ("defaults", "and landed_at, landed_xid", STABLE, None),
    ("volatile", "the same with a volatile default: a row at a time", VOLATILE, None),
    ("landed", "defaults and the index on landed_xid", STABLE, BTREE),
    ("summed", "defaults and a BRIN index on landed_xid as a number", STABLE, BRIN),
    ("keyed", "defaults and the key", STABLE + KEY, None),
    ("whole", "defaults, key and index", STABLE + KEY, BTREE),
    ("brin", "defaults, key and the BRIN index", STABLE + KEY, BRIN),
)


def measure(rounds: int) -> dict[str, float]:
    """Microseconds a row by layer, and those of `prepare` and `encode`."""
    tables = (*(name for name, *_ in LAYERS), "partitioned")
    taken: dict[str, list[float]] = {name: [] for name in (*tables, "prepare", "encode")}
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    with throwaway_warehouse() as settings, connect(settings, Role.ADMIN, autocommit=True) as admin:
        for name, _, more, index in LAYERS:
            admin.execute(f"CREATE TABLE {name} ({BARE}{more})")
            if index:
                admin.execute(f"CREATE INDEX ON {name} {index}")
        admin.execute("CREATE TABLE partitioned (LIKE raw.sensor_events INCLUDING ALL) PARTITION BY RANGE (source_ts)")
        admin.execute("CREATE TABLE partitioned_rows PARTITION OF partitioned DEFAULT")
        for number in range(rounds + 1):
            batches = notifications(
                np.arange(TAGS, dtype=np.int32), begin + timedelta(minutes=number), NOTIFICATIONS, INTERVAL_US, number
            )
            readings = concatenate(list(batches))
            moments = [time.perf_counter()]
            prepared = prepare(readings)
            moments.append(time.perf_counter())
            available = np.full(len(prepared), to_us(begin), np.int64)
            encoded = HEADER + encode(prepared.readings, prepared.digest, "live", available) + TRAILER
            moments.append(time.perf_counter())
            for table in tables:
                statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier(table), columns)
                with admin.cursor() as cursor, cursor.copy(statement) as stream:
                    stream.write(encoded)
                moments.append(time.perf_counter())
            if number:  # the first warms up
                for name, seconds in zip(("prepare", "encode", *tables), np.diff(moments).tolist(), strict=True):
                    taken[name].append(seconds / len(prepared) * 1e6)
    return {name: statistics.median(values) for name, values in taken.items()}


def main(rounds: int = 7) -> None:
    said = {name: what for name, what, *_ in LAYERS} | {
        "partitioned": "the whole, as partitions",
        "prepare": "client: digests, sorting, dropping what came twice",
        "encode": "client: tuples of binary COPY",
    }
    for name, value in measure(rounds).items():
        typer.echo(f"{name:12} {value:6.2f} µs  {said[name]}")


if __name__ == "__main__":
    typer.run(main)
