"""Migrations: in order, once, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from warehouse import migrate as module
from warehouse.errors import WarehouseError
from warehouse.migrate import MIGRATIONS, migrate, missing
from warehouse.settings import Settings


def test_the_files_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in MIGRATIONS.iterdir() if path.name != ".sqlfluff")
    assert len(names) >= 6
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for name in names), names
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_a_second_run_changes_nothing(warehouse: Settings) -> None:
    assert missing(warehouse) == []
    assert migrate(warehouse) == []


@pytest.fixture
def more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's migrations, to which a test adds its own."""
    for path in MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(module, "MIGRATIONS", tmp_path)
    return tmp_path


def test_a_newer_version_migrates_what_is_there(warehouse: Settings, admin: psycopg.Connection, more: Path) -> None:
    (more / "9000_more.sql").write_text("CREATE TABLE ops.more (n integer);")
    assert missing(warehouse) == ["9000_more"]
    assert migrate(warehouse) == ["9000_more"]
    assert admin.execute("SELECT count(*) FROM ops.more").fetchone() == (0,)


def test_a_migration_that_fails_leaves_nothing_behind(
    warehouse: Settings, admin: psycopg.Connection, more: Path
) -> None:
    (more / "9000_half.sql").write_text("CREATE TABLE ops.half (n integer);\nSELECT 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        migrate(warehouse)
    assert admin.execute("SELECT to_regclass('ops.half')").fetchone() == (None,)
    assert missing(warehouse) == ["9000_half"]


def test_an_older_version_refuses_a_newer_warehouse(
    warehouse: Settings, more: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (more / "9000_more.sql").write_text("CREATE TABLE ops.more (n integer);")
    migrate(warehouse)
    monkeypatch.setattr(module, "MIGRATIONS", MIGRATIONS)
    with pytest.raises(WarehouseError, match="has 9000_more, which this version doesn't know"):
        migrate(warehouse)
