"""The command line: bad input is one line on stderr and exit code 2."""

import sys
from pathlib import Path

import pytest

from simulator import __main__ as command_line

ROOT = Path(__file__).parents[3]
SKAB = str(ROOT / "maps" / "skab.yml")
HEADER = (
    "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;Voltage;"
    "Volume Flow RateRMS;anomaly;changepoint\n"
)
ROW = "2020-03-09 10:14:33;0.02;0.04;1.33;0.05;79.3;26.0;233.0;32.0;0.0;0.0\n"


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["simulator", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["inject", "HAUL-001", "rust"], ["mode must be one of bearing_wear", "Got: 'rust'"]),
        (["inject", "HAUL-001", "blockage", "--port", "1"], ["no demo plant answers at opc.tcp://127.0.0.1:1"]),
        (["repair", "HAUL-001", "--port", "1"], ["no demo plant answers"]),
        (["history", "--until", "soon", "--out", "x"], ["--until", "ISO 8601", "Got: 'soon'"]),
        (["history", "--until", "2026-01-31T06:00:00", "--out", "x"], ["--until", "time zone"]),
        (["history", "--until", "2026-01-31T06:00Z", "--out", "x", "--plant", "no.yml"], ["no.yml", "can't be read"]),
        (["serve", "--plant", "no.yml"], ["no.yml", "can't be read"]),
        (["replay", "no.csv", "--map", SKAB], ["no.csv", "no such file"]),
        (["replay", "no.csv", "--map", "no.yml"], ["no.yml", "can't be read"]),
        (["replay", "no.csv", "--map", SKAB, "--speed", "0"], ["--speed", "positive number"]),
        (["replay", "a.csv", "--map", str(ROOT / "maps" / "demo_history.yml")], ["wide layout"]),
        (["replay", "a/0.csv", "b/0.csv", "--map", SKAB], ["two files are both SKAB-0"]),
    ],
)  # fmt: skip
def test_bad_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    code, said = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert all(part in said for part in parts), said


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (HEADER.replace(";Current", "") + ROW, ["line 1", "column 'Current' is missing"]),
        (HEADER.replace("anomaly;", "weather;") + ROW, ["line 1", "unknown column 'weather'", "allowed are"]),
        (HEADER + ROW + ROW.replace("2020-03-09 10", "yesterday"), ["line 3", "'datetime'", "must be a timestamp"]),
        (HEADER + ROW.replace("1.33", "high"), ["line 2", "'Current'", "must be a number. Got: 'high'"]),
        (HEADER, ["no readings"]),
    ],
)
def test_bad_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, parts: list[str]
) -> None:
    path = tmp_path / "rig.csv"
    path.write_text(text)
    code, said = run(monkeypatch, capsys, "replay", str(path), "--map", SKAB)
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert str(path) in said
    assert all(part in said for part in parts), said
