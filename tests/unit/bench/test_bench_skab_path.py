"""What of SKAB goes to the product, and which minutes it is judged by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from bench.scoreboard.files import SKAB_CHANNELS, SKAB_TRAINING_ROWS, read_experiment
from bench.scoreboard.skab_path import FASTEST, label, past_days, speed, without_labels, write_past
from ingest.files.mapping import load_mapping
from simulator.replay import read_recording
from tests.unit.bench.test_bench_scoreboard import experiment

MAP = Path(__file__).resolve().parents[3] / "maps" / "skab.yml"
START = pd.Timestamp("2026-03-02 10:00:30")


def test_a_minute_is_inside_when_most_of_its_rows_are() -> None:
    labels = pd.Series(0.0, index=[START + pd.Timedelta(seconds=second) for second in range(180)])
    labels.iloc[60:150] = 1.0  # 10:01:30 to 10:03:00
    ends = pd.date_range("2026-03-02 10:01", periods=6, freq="min")
    judged, inside = label(ends, labels, START)
    # 10:00 begins before what is judged, 10:01 is half anomalous, nothing was recorded from 10:04 on.
    assert judged == [pd.Timestamp(f"2026-03-02 10:0{minute}") for minute in (2, 3, 4)]
    assert inside.tolist() == [False, True, False]


def test_the_product_gets_no_labels_and_no_machine_twice(tmp_path: Path) -> None:
    read = [read_experiment(experiment(tmp_path / folder / "3.csv")) for folder in ("valve1", "other")]
    files = without_labels(read, tmp_path / "files")
    assert [file.name for file in files] == ["valve1-3.csv", "other-3.csv"]
    assert [*pd.read_csv(files[0], sep=";").columns] == ["datetime", *SKAB_CHANNELS]
    assert len(read_recording(files, load_mapping(MAP)).nodes) == 2 * 500 * 8


def test_the_past_is_the_training_rows(tmp_path: Path) -> None:
    files = without_labels([read_experiment(experiment(tmp_path / "valve1" / "3.csv"))], tmp_path / "files")
    days = [datetime(2026, 5, 1, 9, tzinfo=UTC) + timedelta(days=day) for day in (0, 1)]
    (written,) = write_past(files, tmp_path / "past", days)
    found = pd.read_csv(written, sep=";", parse_dates=["datetime"])
    assert len(found) == 2 * SKAB_TRAINING_ROWS
    assert found.datetime.iloc[[0, 1, SKAB_TRAINING_ROWS]].tolist() == [
        pd.Timestamp("2026-05-01 09:00:00"), pd.Timestamp("2026-05-01 09:00:01"), pd.Timestamp("2026-05-02 09:00:00")
    ]  # fmt: skip
    assert found.Pressure.iloc[0] == found.Pressure.iloc[SKAB_TRAINING_ROWS]


def test_few_files_have_a_longer_past() -> None:
    assert past_days(16) == past_days(34) == 4
    for files in (1, 3, 8):
        assert 0.8 * (past_days(files) - 1) * 6 * files >= 200  # what training asks for


def test_many_files_are_served_slower() -> None:
    assert speed(1) == speed(16) == FASTEST
    assert speed(32) == FASTEST / 2
