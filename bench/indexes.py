"""BRIN or B-tree: what each costs where rows come in the order of time, and how fast it finds the newest ones.

    python -m bench.indexes

Tables like `intermediate.int_sensor_minutes` grow by a minute of 4,000 tags a transaction, each with one of the
candidates, one with none; they take turns. `write_ms` is the median of a minute's INSERT, `find_ms` that of a search
for the newest minute's rows.
"""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import typer
from psycopg import sql

from bench.throwaway import throwaway_warehouse
from warehouse.roles import Role, connect

TAGS: Final = 4000
BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
SEARCHES: Final = 9
COLUMNS = """
(tag_id integer, minute timestamptz, reading_count integer, good_count integer, value_sum float8, value_sumsq float8,
value_min float8, value_max float8, value_first float8, value_last float8, value_mean float8, available_at timestamptz,
built_xid xid8)
"""
MINUTE = """
INSERT INTO {} SELECT tag, %(minute)s::timestamptz, 60, 60, tag, tag, tag, tag, tag, tag, tag, %(minute)s::timestamptz,
    pg_current_xact_id()
FROM generate_series(1, %(tags)s) AS tag
"""
BY_XID = "built_xid >= '{}'::xid8"
# No operator class of BRIN takes xid8.
BY_NUMBER = "(built_xid::text)::bigint >= {}"
BY_MINUTE = "minute >= '{}'::timestamptz"
# name, index, what is searched by
CANDIDATES: Final = (
    ("none", None, BY_XID),
    ("xid_btree", "(built_xid)", BY_XID),
    ("xid_brin", "USING brin (((built_xid::text)::bigint)) WITH (autosummarize = on)", BY_NUMBER),
    ("minute_btree", "(minute)", BY_MINUTE),
    ("minute_brin", "USING brin (minute) WITH (autosummarize = on)", BY_MINUTE),
)


def measure(minutes: int) -> dict[str, dict[str, float]]:
    """`write_ms`, `find_ms` and the index's `size_mb` by candidate."""
    written: dict[str, list[float]] = {name: [] for name, *_ in CANDIDATES}
    found: dict[str, list[float]] = {name: [] for name, *_ in CANDIDATES}
    with throwaway_warehouse() as settings, connect(settings, Role.ADMIN, autocommit=True) as admin:
        for name, index, _ in CANDIDATES:
            admin.execute(f"CREATE TABLE {name} {COLUMNS}".encode())
            if index:
                admin.execute(f"CREATE INDEX {name}_index ON {name} {index}".encode())
        for number in range(minutes):
            at = BEGIN + timedelta(minutes=number)
            for name, *_ in CANDIDATES:
                begun = time.perf_counter()
                admin.execute(sql.SQL(MINUTE).format(sql.Identifier(name)), {"minute": at, "tags": TAGS})
                written[name].append((time.perf_counter() - begun) * 1e3)
        for _ in range(SEARCHES):
            for name, _, condition in CANDIDATES:
                found[name].append(_search(admin, name, condition))
        sizes = {
            name: _number(admin, f"SELECT coalesce(pg_relation_size(to_regclass('{name}_index')), 0)") / 1e6
            for name, *_ in CANDIDATES
        }
    return {
        name: {
            "write_ms": statistics.median(written[name]),
            "find_ms": statistics.median(found[name]),
            "size_mb": sizes[name],
        }
        for name, *_ in CANDIDATES
    }


def _search(admin: psycopg.Connection, name: str, condition: str) -> float:
    """Milliseconds to find the newest minute's rows; all have to be there."""
    column = "minute" if condition is BY_MINUTE else "built_xid"
    newest = _text(admin, f"SELECT max({column})::text FROM {name}")
    begun = time.perf_counter()
    rows = _number(admin, f"SELECT count(value_mean) FROM {name} WHERE {condition.format(newest)}")
    taken = (time.perf_counter() - begun) * 1e3
    if rows != TAGS:
        raise RuntimeError(f"{TAGS} rows were to be found in {name}. Got: {rows}")
    return taken


def _number(admin: psycopg.Connection, query: str) -> float:
    return float(_text(admin, query))


def _text(admin: psycopg.Connection, query: str) -> str:
    found = admin.execute(query.encode()).fetchone()
    if found is None:
        raise RuntimeError(f"no row: {query}")
    return str(found[0])


def main(minutes: int = 300) -> None:
    """Print a line for each candidate."""
    for name, figures in measure(minutes).items():
        typer.echo(f"{name:14}" + "  ".join(f"{figure} {value:8.2f}" for figure, value in figures.items()))


if __name__ == "__main__":
    typer.run(main)
