"""How long a spool lasts, and how often that is said."""

import math
from collections import namedtuple
from pathlib import Path

import pytest

from ingest.landing import room as room_module
from ingest.landing.room import Room
from ingest.readings import Readings, empty_rows, to_bytes
from warehouse.settings import Settings

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    free = {"bytes": 10**15}
    monkeypatch.setattr(room_module.shutil, "disk_usage", lambda _: Usage(0, 0, free["bytes"]))
    return free


def test_hours_are_what_is_free_at_the_present_rate(tmp_path: Path) -> None:
    room = Room(tmp_path, 3_600_000)
    room.observe(0.0, 0, 0)
    assert room.hours_left is None
    room.observe(5.0, 500, 0)
    assert room.hours_left == pytest.approx(10.0)
    room.observe(10.0, 1000, 1_800_000)
    assert room.hours_left == pytest.approx(5.0)


def test_a_disk_that_is_nearly_full_counts(tmp_path: Path, disk: dict[str, int]) -> None:
    room = Room(tmp_path, 10**12)
    disk["bytes"] = 360_000
    room.observe(0.0, 0, 0)
    room.observe(1.0, 100, 0)
    assert room.hours_left == pytest.approx(1.0)


def test_where_nothing_comes_it_lasts_for_ever(tmp_path: Path) -> None:
    room = Room(tmp_path, 100)
    room.observe(0.0, 50, 50)
    room.observe(400.0, 50, 50)
    room.observe(401.0, 50, 50)
    assert room.hours_left == math.inf
    assert room.warning() is None


def test_the_rate_is_that_of_the_last_minutes(tmp_path: Path) -> None:
    room = Room(tmp_path, 3_600_000)
    for second in range(0, 1000, 5):
        room.observe(float(second), min(second, 500) * 1000, 0)
    assert room.hours_left == math.inf


def test_little_room_is_said_once_and_again_at_each_half(tmp_path: Path) -> None:
    room = Room(tmp_path, 5 * 3600 * 100)
    said = []
    for second in range(0, 5 * 3600, 5):
        room.observe(float(second), second * 100, second * 100)
        if (hours := room.warning()) is not None:
            said.append(round(hours, 1))
    assert said[:4] == [4.0, 2.0, 1.0, 0.5]
    assert len(said) < 20


def test_a_day_at_five_thousand_values_a_second_fits_the_default() -> None:
    batch = to_bytes(Readings(empty_rows(2500)))  # half a second of them
    record = len(batch) + 8
    assert record * 2 * 86_400 / 1e9 < Settings.model_fields["spool_gb"].default


def test_a_folder_that_is_gone_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    room = Room(tmp_path / "gone", 10**6)
    room.observe(0.0, 0, 0)
    room.observe(1.0, 100, 0)
    assert (room.hours_left, room.warning()) == (0.0, 0.0)
