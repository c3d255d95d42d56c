"""The collector's benchmarks, each beside its peer or limit: decode, land, wire, latency, memory.

    python -m bench.ingest --json              one object, a key a benchmark
    python -m bench.ingest --only land,decode --quick

A benchmark is a module of this folder with `measure(rounds, quick) -> dict[str, float]`. Peers take turns with the
product within one run and figures are medians. Postgres keeps fsync and synchronous_commit. `--quick` shows that
everything runs; its figures are worth nothing.
"""

from __future__ import annotations

import importlib
import signal
import sys
import time
import traceback
from typing import Annotated, Final

import typer

from bench.figures import AT_LEAST, AT_MOST, Expected, Figures, chosen, tell

BENCHMARKS: Final = ("decode", "land", "wire", "latency", "memory")
# On two cores; what falls short is explained in docs/performance.md.
EXPECTED: Final[Expected] = {
    "decode": {"ratio": (AT_LEAST, 100), "mixed_ratio": (AT_LEAST, 5)},
    "land": {"rows_per_s": (AT_LEAST, 100_000), "ratio": (AT_LEAST, 0.15), "tutorial_ratio": (AT_LEAST, 10)},
    "wire": {"values_per_s": (AT_LEAST, 40_000), "lost": (AT_MOST, 0), "lag_p99_s": (AT_MOST, 1)},
    "latency": {"p99_ms_5000": (AT_MOST, 250), "notify_p99_ms_5000": (AT_MOST, 250)},
    "memory": {"values_per_s": (AT_LEAST, 9_500), "ratio": (AT_MOST, 1.05)},
}


def measure(names: tuple[str, ...], rounds: int, quick: bool) -> tuple[dict[str, Figures], list[str]]:
    """The figures of each benchmark, and the names of those that failed, whose tracebacks are on stderr."""
    figures: dict[str, Figures] = {}
    failed: list[str] = []
    for name in names:
        begun = time.monotonic()
        try:
            taken = importlib.import_module(f"bench.{name}").measure(rounds, quick)
        except Exception:  # one that fails must not cost the figures of the others
            traceback.print_exc()
            failed.append(name)
            continue
        figures[name] = {key: round(float(value), 4) for key, value in taken.items()}
        typer.echo(f"{name}: {time.monotonic() - begun:.0f} s", err=True)
    return figures, failed


def main(
    as_json: Annotated[bool, typer.Option("--json", help="one object on stdout")] = False,
    only: Annotated[str, typer.Option(help=f"some of {', '.join(BENCHMARKS)}, with commas")] = ",".join(BENCHMARKS),
    rounds: Annotated[int, typer.Option(min=1, help="how often each is measured; figures are medians")] = 5,
    quick: Annotated[bool, typer.Option(help="seconds instead of minutes, to see that it runs")] = False,
) -> None:
    """Measure the collector; exit code 1 when a benchmark failed, 2 when there is none of a name."""
    names = chosen(only, BENCHMARKS)
    figures, failed = measure(names, rounds, quick)
    tell(figures, EXPECTED, failed, as_json)


if __name__ == "__main__":
    # What is ended from outside must end its servers too; Python's own way out of SIGTERM runs nothing.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    typer.run(main)
