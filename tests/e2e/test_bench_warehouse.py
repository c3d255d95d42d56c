"""The warehouse's benchmarks run in their quick form and print what their readers expect; times are not judged."""

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from bench import warehouse
from bench.figures import table
from warehouse.settings import HOME

RUN = typer.Typer()
RUN.command()(warehouse.main)
KEYS = {
    "minute": {
        "sql_s", "wall_s", "cpu_s", "growth_30d", "cpu_growth_30d", "sql_s_1d", "wall_s_1d", "cpu_s_1d", "equipment",
        "days", "readings", "history_step_minutes",
    },
    "naive": {"ratio", "s", "ratio_hour", "s_hour", "measured_equipment"},
    "floor": {"ratio", "s"},
    "serving": {"p99_ms"} | {
        f"{query}_{figure}"
        for query in ("select_1", "pending", "dashboard", "answer") for figure in ("p50_ms", "p99_ms", "per_s")
    },
    "retention": {
        "rows", "rows_a_day", "look_s", "drop_s", "delete_s", "vacuum_s", "ratio", "drop_freed_mb", "delete_freed_mb",
    },
}  # fmt: skip
# Pages that a DELETE leaves; pgbench rounds to a hundredth of a millisecond.
MAY_BE_ZERO = {"delete_freed_mb", "select_1_p50_ms"}


def test_every_benchmark_prints_its_figures_in_one_object() -> None:
    # It raises by itself where a machine has no features, or where the usual way gives others.
    command = [sys.executable, "-m", "bench.warehouse", "--json", "--quick"]
    result = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert {name: set(taken) for name, taken in figures.items()} == KEYS
    assert all(value > 0 for taken in figures.values() for name, value in taken.items() if name not in MAY_BE_ZERO), (
        figures
    )
    assert figures["minute"]["readings"] == 4 * 4 * 60
    assert figures["minute"]["growth_30d"] == pytest.approx(
        figures["minute"]["sql_s"] / figures["minute"]["sql_s_1d"], rel=1e-2
    )
    assert "rolled up and copied to 4 machines" in result.stderr  # what of the history is generated is said


def test_one_benchmark_that_fails_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(quick: bool) -> dict[str, float]:
        raise RuntimeError("no server")

    monkeypatch.setattr("bench.serving.measure", fail)
    monkeypatch.setattr("bench.retention.measure", lambda rows, quick: {"ratio": rows / 3})
    result = CliRunner().invoke(RUN, ["--json", "--only", "serving,retention", "--rows", "1000"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"retention": {"ratio": 333.3333}}
    assert "no server" in result.stderr and "failed: serving" in result.stderr


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    result = CliRunner().invoke(RUN, ["--only", "minutes"])
    assert result.exit_code == 2
    assert "must be some of minute, serving, retention. Got: 'minutes'" in result.stderr


def test_the_table_says_what_falls_short() -> None:
    shown = table({"minute": {"sql_s": 5.01, "wall_s": 15.0, "days": 30.0}}, warehouse.EXPECTED)
    assert list(shown.columns[3].cells) == ["≤ 5  short", "≤ 15", ""]
