"""The contracts of the enterprise tables say what the database says: columns, types, keys and what is allowed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ingest.files.contracts import CONTRACTS, Column, Contract
from ingest.files.values import RowError, read

TYPES = {
    "text": "text",
    "number": "double precision",
    "integer": "integer",
    "money": "numeric",
    "boolean": "boolean",
    "date": "date",
    "time": "timestamp with time zone",
}
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_table_has_the_columns_of_its_contract(admin: psycopg.Connection) -> None:
    found = admin.execute(
        "SELECT c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull,"
        " coalesce(a.attnum = ANY(i.indkey), false)"
        " FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
        " LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary"
        " WHERE c.relnamespace = 'raw'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(mes|sap|cmms)_'"
        " AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('loaded_at', 'loaded_xid')"
    ).fetchall()
    told = [
        (contract.table, column.name, TYPES[column.type], column.required, column.key)
        for contract in CONTRACTS.values()
        for column in contract.columns
    ]
    assert sorted(found) == sorted(told)


def sound(contract: Contract) -> dict[str, Any]:
    """A row that keeps every rule."""
    values = {"text": "x", "number": 5.0, "integer": 5, "money": 5, "boolean": True, "date": date(2020, 1, 1)}
    row: dict[str, Any] = {}
    for hours, column in enumerate(contract.columns):
        row[column.name] = column.allowed[0] if column.allowed else values.get(column.type, T0 + timedelta(hours=hours))
    return row


def broken(column: Column, row: dict[str, Any]) -> dict[str, Any]:
    """The same with one column against each of its rules, by rule."""
    found: dict[str, Any] = {}
    if column.allowed:
        found["allowed"] = "never"
    if column.least is not None:
        found["least"] = column.least - 1
    if column.most_of:
        found["most_of"] = row[column.most_of] + 1
    if column.after:
        found["after"] = row[column.after]
    if column.not_before:
        found["not_before"] = row[column.not_before] - timedelta(seconds=1)
    return found


@pytest.mark.parametrize("table", CONTRACTS)
def test_what_the_contract_refuses_the_table_refuses_too(admin: psycopg.Connection, table: str) -> None:
    contract = CONTRACTS[table]
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier("raw", table),
        sql.SQL(", ").join(map(sql.Identifier, contract.names)),
        sql.SQL(", ").join(sql.Placeholder() * len(contract.names)),
    )
    row = sound(contract)
    with admin.transaction(force_rollback=True):
        admin.execute(insert, [*read(contract, row).values()])
    rules = 0
    for column in contract.columns:
        for wrong in broken(column, row).values():
            rules += 1
            bad = {**row, column.name: wrong}
            with pytest.raises(RowError) as caught:
                read(contract, bad)
            assert caught.value.column == column.name
            with pytest.raises(psycopg.errors.CheckViolation), admin.transaction():
                admin.execute(insert, [*bad.values()])
    checks = admin.execute(
        "SELECT count(*) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", (f"raw.{table}",)
    ).fetchone()
    assert checks == (rules,)
