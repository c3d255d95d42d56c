"""The models' benchmarks run in their quick form and print what their readers expect; times are not judged."""

import json
import subprocess
import sys

from bench.figures import table
from bench.scoring import EXPECTED
from warehouse.settings import HOME

KEYS = {
    "score": {
        "wall_s", "ratio", "published_s", "score_s", "publish_s", "explain_s", "cpu_s", "one_s", "rows_s", "windows",
        "alerted", "rounds",
    },
    "notify": {"p99_ms", "p50_ms", "max_ms", "notifications"},
    "retrain": {"wall_s", "peak_mb", "rows", "training_rows", "positive_rows", "held_out_rows", "used_share"},
}  # fmt: skip


def test_every_benchmark_prints_its_figures_in_one_object() -> None:
    # It raises by itself where a window isn't scored, a failing machine isn't shown or explained, or nothing trained.
    command = [sys.executable, "-m", "bench.scoring", "--json", "--quick"]
    result = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert {name: set(taken) for name, taken in figures.items()} == KEYS
    assert all(value > 0 for taken in figures.values() for value in taken.values()), figures
    assert figures["score"]["windows"] == 20 and figures["notify"]["notifications"] == 5
    assert figures["score"]["wall_s"] >= figures["score"]["score_s"]
    assert figures["retrain"]["used_share"] <= 1


def test_the_table_says_what_falls_short() -> None:
    shown = table({"score": {"wall_s": 2.1, "ratio": 30.0}, "notify": {"p99_ms": 12.0}}, EXPECTED)
    assert list(shown.columns[3].cells) == ["≤ 2  short", "≥ 10", "≤ 50"]
