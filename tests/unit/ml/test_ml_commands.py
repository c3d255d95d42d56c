"""What `python -m ml` answers where something outside of it is wrong: one line, and exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import pytest

from ml import __main__ as commands
from ml.gates import criteria


def _told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["ml", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_postgres_that_is_away_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    monkeypatch.setenv("MILLWRIGHT_VAR", str(tmp_path))
    monkeypatch.setenv("MILLWRIGHT_POSTGRES_PORT", "1")
    told = _told(monkeypatch, capsys, "history")
    assert told.startswith("Postgres can't be reached: ")
    assert "port 1 " in told
    assert told.endswith("python -m warehouse serve starts the embedded one")


def test_what_a_server_that_was_reached_says_is_not_taken_for_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> list[object]:
        raise psycopg.errors.DiskFull("no space left on device")

    monkeypatch.setattr("ml.gates.decisions.history", full)
    monkeypatch.setattr(sys, "argv", ["ml", "history"])
    with pytest.raises(psycopg.errors.DiskFull):
        commands.main()


def test_a_setting_that_is_not_allowed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MILLWRIGHT_POSTGRES_PORT", "five")
    assert _told(monkeypatch, capsys, "history").startswith("MILLWRIGHT_POSTGRES_PORT: ")


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MILLWRIGHT_VAR", str(tmp_path / "file"))
    assert _told(monkeypatch, capsys, "history") == f"{tmp_path / 'file'}: File exists"


def test_a_stretch_that_ends_before_it_begins_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _told(monkeypatch, capsys, "score", "--from", "2026-06-02", "--to", "2026-06-01T12:00Z")
    assert told == "--from must be before --to. Got: 2026-06-02 and 2026-06-01T12:00Z"


@pytest.mark.parametrize(("value", "told"), [(None, "unknown"), (0.34567, "0.3457"), (42.0, "42"), (30021.0, "30,021")])
def test_a_count_is_told_in_full(value: float | None, told: str) -> None:
    assert criteria.say(value) == told
