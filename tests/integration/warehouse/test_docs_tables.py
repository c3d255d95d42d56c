"""docs/reference/tables.md is what the migrations make, and every table says what it is for."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import psycopg

HOME = Path(__file__).resolve().parents[3]


def test_the_tables_page_is_what_the_migrations_make(admin: psycopg.Connection) -> None:
    spec = importlib.util.spec_from_file_location("generate", HOME / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    written = (HOME / "docs" / "reference" / "tables.md").read_text()
    assert written == generator.tables_page(admin), "run: python docs/generate.py"


def test_every_table_says_what_it_is_for(admin: psycopg.Connection) -> None:
    silent = admin.execute(
        "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid "
        "WHERE n.nspname IN ('raw', 'ml', 'serving', 'ops') AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition "
        "AND obj_description(c.oid, 'pg_class') IS NULL"
    ).fetchall()
    assert silent == []
