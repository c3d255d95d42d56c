"""The collector's benchmarks run in their quick form and print what their readers expect; times are not judged."""

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from bench import ingest, land
from bench.figures import table
from warehouse.settings import HOME, Settings

RUN = typer.Typer()
RUN.command()(ingest.main)
KEYS = {
    "land": {"rows_per_s", "copy_rows_per_s", "executemany_rows_per_s", "ratio", "tutorial_ratio"},
    "latency": {
        "values_per_s", "expected_p99_ms", "ratio", "values_per_s_5000", "p50_ms_5000", "p99_ms_5000",
        "notify_p50_ms_5000", "notify_p99_ms_5000", "notified_5000", "flush_ms",
    },
}  # fmt: skip


def test_landing_and_latency_print_one_object() -> None:
    command = [sys.executable, "-m", "bench.ingest", "--json", "--quick", "--rounds", "1", "--only", "land,latency"]
    result = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert {name: set(taken) for name, taken in figures.items()} == KEYS
    assert all(value > 0 for taken in figures.values() for value in taken.values())
    assert figures["land"]["ratio"] == pytest.approx(
        figures["land"]["rows_per_s"] / figures["land"]["copy_rows_per_s"], abs=1e-3
    )


def test_a_benchmark_of_landing_that_loses_a_row_fails(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(land.Writer, "land", lambda *arguments: None)
    with pytest.raises(RuntimeError, match="4000 rows were to land"):
        land.measure_in(warehouse, 1, 2)


def test_one_benchmark_that_fails_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(rounds: int, quick: bool) -> dict[str, float]:
        raise RuntimeError("no server")

    monkeypatch.setattr("bench.latency.measure", fail)
    monkeypatch.setattr("bench.land.measure", lambda rounds, quick: {"rows_per_s": 1 / 3 + rounds})
    result = CliRunner().invoke(RUN, ["--json", "--only", "latency,land", "--rounds", "7"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"land": {"rows_per_s": 7.3333}}
    assert "no server" in result.stderr and "failed: latency" in result.stderr


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    result = CliRunner().invoke(RUN, ["--only", "lend"])
    assert result.exit_code == 2
    assert "must be some of decode, land, wire, latency, memory. Got: 'lend'" in result.stderr


def test_the_table_says_what_falls_short() -> None:
    shown = table({"land": {"rows_per_s": 99_999.0, "ratio": 0.15, "copy_rows_per_s": 1e6}}, ingest.EXPECTED)
    assert list(shown.columns[3].cells) == ["≥ 100,000  short", "≥ 0.15", ""]
