"""The scoreboard's frame: files that can't be judged, what is counted, and a page that hides nothing."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.scoreboard import __main__ as command
from bench.scoreboard import nab, skab
from bench.scoreboard.aims import BELOW, aim
from bench.scoreboard.counts import Counts, pooled
from bench.scoreboard.errors import ScoreboardError
from bench.scoreboard.estimators import filled, isolation_forest, levels, rows, t2_and_q
from bench.scoreboard.files import (
    AZURE_TABLES,
    SKAB_CHANNELS,
    SKAB_TRAINING_ROWS,
    azure_paths,
    check_azure,
    read_experiment,
    read_series,
    skab_paths,
)
from bench.scoreboard.report import page, shown, table


def experiment(path: Path, rows: int = 500, shift_from: int = 450) -> Path:
    """A rig's file of noise, whose channels jump at `shift_from`, where its label begins."""
    chance = np.random.default_rng(len(path.stem))
    values = chance.normal(10, 1, (rows, len(SKAB_CHANNELS)))
    values[shift_from:] += 20
    times = pd.Timestamp("2020-03-09 10:00:00") + pd.to_timedelta(np.arange(rows), unit="s")
    table = pd.DataFrame(values, columns=list(SKAB_CHANNELS))
    table.insert(0, "datetime", times.strftime("%Y-%m-%d %H:%M:%S"))
    anomaly = (np.arange(rows) >= shift_from).astype(float)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.assign(anomaly=anomaly, changepoint=0.0).to_csv(path, sep=";", index=False)
    return path


def series(folder: Path, rows: int = 2000) -> Path:
    """A temperature of noise that jumps in a labelled window at three quarters of it."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(3).normal(90, 1, rows)
    values[1500:1550] += 30
    times = pd.Timestamp("2014-01-01") + pd.to_timedelta(5 * np.arange(rows), unit="min")
    table = pd.DataFrame({"timestamp": times.strftime("%Y-%m-%d %H:%M:%S"), "value": values})
    path = folder / "machine.csv"
    table.to_csv(path, index=False)
    window = [str(times[1480]), str(times[1560])]
    (folder / "windows.json").write_text(json.dumps({"realKnownCause/machine.csv": [window]}))
    return path


def spoiled(path: Path, line: int, column: int, value: str, separator: str = ";") -> Path:
    lines = path.read_text().splitlines()
    cells = lines[line - 1].split(separator)
    cells[column] = value
    lines[line - 1] = separator.join(cells)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_files_are_found_by_folder_and_number(tmp_path: Path) -> None:
    for name in ("valve1/10.csv", "valve1/2.csv", "other/1.csv", "anomaly-free/anomaly-free.csv"):
        experiment(tmp_path / "skab" / name)
    found = [str(path.relative_to(tmp_path / "skab")) for path in skab_paths(tmp_path)]
    assert found == ["other/1.csv", "valve1/2.csv", "valve1/10.csv"]


@pytest.mark.parametrize(
    ("line", "column", "value", "said"),
    [
        (1, 4, "Presure", "line 1: columns must be .*Missing: Pressure; Unknown: Presure"),
        (7, 0, "yesterday", "line 7, column datetime: must be like 2020-03-09 10:14:33. Got: 'yesterday'"),
        (8, 1, "n/a", "line 8, column Accelerometer1RMS: must be a finite number or nothing. Got: 'n/a'"),
        (9, 2, "inf", "line 9, column Accelerometer2RMS: must be a finite number or nothing. Got: 'inf'"),
        (10, 9, "2", "line 10, column anomaly: must be 0 or 1. Got: '2'"),
    ],
)
def test_a_malformed_experiment_is_named_with_its_place(
    tmp_path: Path, line: int, column: int, value: str, said: str
) -> None:
    path = spoiled(experiment(tmp_path / "skab" / "valve1" / "1.csv"), line, column, value)
    with pytest.raises(ScoreboardError, match=f"1.csv: {said}"):
        read_experiment(path)


def test_an_experiment_needs_rows_to_judge(tmp_path: Path) -> None:
    path = experiment(tmp_path / "1.csv", rows=SKAB_TRAINING_ROWS, shift_from=300)
    with pytest.raises(ScoreboardError, match="400 rows; the first 400 train"):
        read_experiment(path)


def test_an_empty_field_holds_the_last_reading(tmp_path: Path) -> None:
    path = spoiled(experiment(tmp_path / "1.csv"), 5, 1, "")
    values = read_experiment(path).values
    assert np.isnan(values[3, 0])
    assert filled(values)[3, 0] == values[2, 0]


def test_a_series_needs_its_windows(tmp_path: Path) -> None:
    path = series(tmp_path)
    assert len(read_series(path).windows) == 1
    (tmp_path / "windows.json").write_text('{"other.csv": []}')
    with pytest.raises(ScoreboardError, match=r"windows\.json: says nothing of machine\.csv"):
        read_series(path)
    (tmp_path / "windows.json").write_text('{"machine.csv": [["2014-01-02", "2014-01-01"]]}')
    with pytest.raises(ScoreboardError, match="ends before it starts"):
        read_series(path)


def test_azure_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "azure_pdm").mkdir()
    (tmp_path / "azure_pdm" / "errors.csv").touch()
    assert azure_paths(tmp_path) == []


def azure(folder: Path) -> Path:
    """Two machines and a reading of each."""
    folder.mkdir(parents=True)
    at = "2015-01-01 06:00:00"
    for name, columns in AZURE_TABLES.items():
        if name.endswith(".csv"):
            cells = [at if column == "datetime" else "7" for column in columns]
            (folder / name).write_text(",".join(columns) + "\n" + ",".join(cells) + "\n")
    readings = {"machineID": [1, 2], "datetime": pd.to_datetime([at, at])}
    channels = {name: [1.0, 2.0] for name in AZURE_TABLES["telemetry_3h.parquet"] if name not in readings}
    pd.DataFrame(readings | channels).to_parquet(folder / "telemetry_3h.parquet")
    return folder


def test_azure_is_checked_before_anything_runs(tmp_path: Path) -> None:
    folder = azure(tmp_path / "azure_pdm")
    check_azure(tmp_path)
    (folder / "errors.csv").write_text("datetime,machineID,errorID\n2015-01-03 07:00,1,error1\n")
    with pytest.raises(ScoreboardError, match=r"errors\.csv: line 2, column datetime: .* Got: '2015-01-03 07:00'"):
        check_azure(tmp_path)
    (folder / "errors.csv").write_text("datetime,machineID\n")
    with pytest.raises(ScoreboardError, match=r"errors\.csv: line 1: .* Missing: errorID"):
        check_azure(tmp_path)
    (folder / "errors.csv").unlink()
    pd.DataFrame({"machineID": [1]}).to_parquet(folder / "telemetry_3h.parquet")
    with pytest.raises(ScoreboardError, match=r"telemetry_3h\.parquet: columns must be .* Missing: datetime"):
        check_azure(tmp_path, ["telemetry_3h.parquet"])


def test_rates_by_hand() -> None:
    counts = Counts.of(np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 0], bool))
    assert counts.figures() == {"F1": pytest.approx(0.4), "FAR %": pytest.approx(200 / 3), "MAR %": 50.0}
    assert pooled([counts, counts]) == counts + counts
    assert Counts.of(np.array([True]), np.array([False])).f1 is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60), st.integers(0, 60))
def test_pooling_is_counting_all_at_once(rows: list[tuple[bool, bool]], cut: int) -> None:
    flagged, anomalous = (np.array(column, bool) for column in zip(*rows, strict=True))
    parts = [Counts.of(flagged[:cut], anomalous[:cut]), Counts.of(flagged[cut:], anomalous[cut:])]
    assert pooled(parts) == Counts.of(flagged, anomalous)


@pytest.mark.parametrize("estimator", [isolation_forest, t2_and_q, rows, levels])
def test_what_comes_later_changes_no_flag(tmp_path: Path, estimator: skab.Estimator) -> None:
    one = read_experiment(experiment(tmp_path / "1.csv"))
    train, judged = one.values[:SKAB_TRAINING_ROWS], one.values[SKAB_TRAINING_ROWS:]
    flags = estimator(train, judged)
    assert flags[:60].tolist() == estimator(train, judged[:60]).tolist()
    assert flags[55:].all()  # the jump, once the running median has seen it
    assert flags[:50].mean() < 0.1


def test_t2_and_q_leaves_out_a_channel_that_never_moved() -> None:
    chance = np.random.default_rng(1)
    train, judged = chance.normal(size=(400, 3)), chance.normal(size=(100, 3))
    train[:, 1] = 7.0
    judged[:, 1] = 7.0
    assert t2_and_q(train, judged).mean() < 0.1


def test_a_series_is_judged_after_its_probation(tmp_path: Path) -> None:
    one = read_series(series(tmp_path))
    ends = pd.DatetimeIndex(one.times.iloc[300:])
    raised = np.zeros(len(ends), dtype=bool)
    raised[[700, 705, 1210, 1215]] = True  # one alarm in normal time, one in the window
    found = nab.figures(nab.Seen(one, "raw channel", "by hand", ends, raised))
    assert (found["windows"], found["found"]) == (1, 1)
    normal_weeks = (len(ends) - 81) * 5 / (7 * 24 * 60)
    assert found["false alarms/week"] == pytest.approx(1 / normal_weeks)
    assert found["FAR %"] == pytest.approx(100 * 2 / (len(ends) - 81))
    assert (found["raised in windows"], found["raised outside"]) == (2, 2)
    assert found["lead h, last window"] == pytest.approx((1520 - 1510) * 5 / 60)


@pytest.mark.parametrize(("readings", "probation"), [(2000, 300), (5000, 750), (22_695, 750)])
def test_a_long_series_has_no_longer_a_probation(tmp_path: Path, readings: int, probation: int) -> None:
    one = read_series(series(tmp_path, readings))
    assert (one.probation, one.judged_from) == (probation, one.times.iloc[probation])


def test_what_is_published_of_a_file_adds_up_to_what_is_judged() -> None:
    """Of 22,695 readings 750 are its probation, and 4 windows of 567 are labelled."""
    for _, inside, outside, quiet in nab.PUBLISHED["machine_temperature_system_failure.csv"]:
        assert outside + quiet == 22_695 - 750 - 4 * 567
        assert inside <= 4 * 567


def test_a_window_of_the_probation_is_not_judged(tmp_path: Path) -> None:
    path = series(tmp_path)
    early = ["2014-01-01 01:00:00", "2014-01-01 03:00:00"]
    windows = json.loads((tmp_path / "windows.json").read_text())["realKnownCause/machine.csv"]
    (tmp_path / "windows.json").write_text(json.dumps({"machine.csv": [early, *windows]}))
    one = read_series(path)
    assert (len(one.windows), len(nab.judged_windows(one))) == (2, 1)


def test_a_product_path_that_fails_leaves_the_raw_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(experiments: object, folder: Path) -> list[skab.skab_path.Judged]:
        raise CalledProcessError(1, ["python", "-m", "ml", "train", "--bootstrap"])

    monkeypatch.setattr(skab.skab_path, "run", refused)
    monkeypatch.setattr(skab, "ESTIMATORS", {"T² + Q": t2_and_q, skab.OURS: t2_and_q})
    experiment(tmp_path / "skab" / "valve1" / "1.csv")
    found = skab.run(tmp_path, tmp_path)
    assert found["failed"] == "Product path: python -m ml train --bootstrap ended with exit code 1."
    assert [row["detector"] for row in found["rows"]] == ["T² + Q", skab.OURS]
    assert found["rows"][1]["MAR %"] < 20
    assert {one["figure"]: one["held"] for one in found["aims"]}[f"F1, {skab.OURS}, raw channels"]

    sets = {"skab": command.Set(lambda data, folder: found)}
    scoreboard, failed = command.board(tmp_path, ["skab"], sets, "c")
    assert failed == ["skab"]
    assert "**Failed.** Product path: python -m ml train --bootstrap ended with exit code 1." in page(scoreboard)


def test_figures_are_shown_as_they_are() -> None:
    values = [None, float("nan"), True, 1234, 0.7345, 13.55, 2295.0, "a|b"]
    assert [shown(value) for value in values] == ["–", "–", "yes", "1,234", "0.73", "13.6", "2,295", "a\\|b"]
    assert table([{"a": 1}, {"b": 2.0}]) == "| a | b |\n|---|---|\n| 1 | – |\n| – | 2.00 |\n"


def made_up(data: Path, folder: Path) -> dict[str, Any]:
    """A set of the agreed form, as another module gives it: no title, no tables."""
    assert folder.is_dir() and not list(folder.iterdir())
    return {
        "protocol": "Half trains, half is judged.", "guards": "Labels stay shut.",
        "rows": [{"path": "raw", "F1": np.float64(0.5), "FAR %": float("nan")}],
        "published": [{"detector": "theirs", "F1": 0.9}], "aims": [aim("FAR %", 7.0, BELOW, 5)],
        "findings": ["It is early."],
    }  # fmt: skip


def broken(data: Path, folder: Path) -> dict[str, Any]:
    raise ValueError("two\nlines")


def test_a_run_writes_what_it_found_and_what_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {
        "good": command.Set(made_up),
        "bad": command.Set(broken),
        "away": command.Set(made_up, lambda data: f"There is nothing in {data}."),
    }
    monkeypatch.setattr(command, "SETS", sets)
    monkeypatch.setattr(command.traceback, "print_exc", lambda: None)
    scoreboard, failed = command.board(tmp_path, list(sets), sets, "python -m bench.scoreboard")
    assert failed == ["bad"]
    assert scoreboard["left_out"] == {
        "away": f"There is nothing in {tmp_path}.", "bad": "It failed: ValueError: two"
    }  # fmt: skip
    assert json.loads(json.dumps(scoreboard, allow_nan=False))["sets"]["good"]["rows"] == [
        {"path": "raw", "F1": 0.5, "FAR %": None}
    ]
    text = page(scoreboard)
    assert "| raw | 0.50 | – | – |" in text
    assert "| published | 0.90 | – | theirs |" in text
    assert "| good | FAR % | 7.00 | < 5 | **short** |" in text
    assert "- Short of its aim: FAR % is 7.00, aimed at < 5." in text
    assert "- It is early." in text
    assert "## Left out: bad" in text
    assert "**Run.** `python -m bench.scoreboard`, 0.0 minutes until 20" in text


def test_a_set_that_is_not_run_again_keeps_its_figures_and_their_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"first": command.Set(made_up), "second": command.Set(made_up)}
    monkeypatch.setattr(command, "SETS", sets)
    app = command.typer.Typer()
    app.command()(command.main)

    def run(only: str) -> dict[str, Any]:
        result = CliRunner().invoke(app, ["--data", str(tmp_path), "--only", only, "--out", str(tmp_path)])
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads((tmp_path / "scoreboard.json").read_text())["sets"]
        return found

    second = run("second")["second"]
    both = run("first")
    assert list(both) == ["first", "second"] and both["second"] == second
    assert both["first"]["made"]["command"].endswith("--only first")
    assert (tmp_path / "scoreboard.md").read_text().count("**Run.**") == 2
    (tmp_path / "scoreboard.json").write_text("{}")
    result = CliRunner().invoke(app, ["--data", str(tmp_path), "--only", "first", "--out", str(tmp_path)])
    assert result.exit_code == 2 and "scoreboard.json: not a scoreboard" in result.output


def test_the_command_answers_a_bad_file_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(data: Path, folder: Path) -> dict[str, Any]:
        raise AssertionError("a bad file must be found before anything runs")

    monkeypatch.setattr(command, "SETS", {"skab": command.Set(never, check=skab.check)})
    spoiled(experiment(tmp_path / "skab" / "valve1" / "1.csv"), 5, 9, "maybe")
    app = command.typer.Typer()
    app.command()(command.main)
    out = tmp_path / "out"
    out.mkdir()
    result = CliRunner().invoke(app, ["--data", str(tmp_path), "--only", "skab", "--out", str(out)])
    assert result.exit_code == 2
    assert "1.csv: line 5, column anomaly: must be 0 or 1. Got: 'maybe'" in result.output
    assert not list(out.iterdir())


def test_sets_that_are_not_there_are_said(tmp_path: Path) -> None:
    said = {name: one.missing(tmp_path) for name, one in command.SETS.items()}
    assert said["demo"] is None
    assert all(str(tmp_path) in str(said[name]) for name in ("skab", "nab", "azure"))
