"""The warehouse's benchmarks: the minute path on a large plant, what HMIs read, retention of raw readings.

    python -m bench.warehouse --json                       one object, a key a benchmark
    python -m bench.warehouse --only minute --equipment 100 --days 7

`minute` also gives `naive`, the same features the usual way, and `floor`, the least there is to do. Postgres is one of
its own with fsync and synchronous_commit; it needs about 25 GB in `MILLWRIGHT_BENCH_DIR` as it stands. `--quick` shows
that everything runs; its figures are worth nothing.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from typing import Annotated, Final

import typer

from bench import minute, retention, serving
from bench.figures import AT_LEAST, AT_MOST, Expected, Figures, chosen, tell

BENCHMARKS: Final = ("minute", "serving", "retention")
# On two cores; what falls short is explained in docs/performance.md.
EXPECTED: Final[Expected] = {
    "minute": {"sql_s": (AT_MOST, 5), "wall_s": (AT_MOST, 15), "growth_30d": (AT_MOST, 1.15)},
    "naive": {"ratio": (AT_LEAST, 10)},
    "serving": {"p99_ms": (AT_MOST, 5)},
    "retention": {"ratio": (AT_LEAST, 10)},
}


def measure(
    names: tuple[str, ...], rounds: int, quick: bool, equipment: int, days: int, rows: int
) -> tuple[dict[str, Figures], list[str]]:
    """The figures by benchmark, and the names of those that failed, whose tracebacks are on stderr."""
    figures: dict[str, Figures] = {}
    failed: list[str] = []
    for name in names:
        begun = time.monotonic()
        try:
            if name == "minute":
                taken = minute.measure(rounds, quick, equipment, days)
            elif name == "serving":
                taken = {name: serving.measure(quick)}
            else:
                taken = {name: retention.measure(rows, quick)}
        except Exception:  # one that fails must not cost the figures of the others
            traceback.print_exc()
            failed.append(name)
            continue
        for key, values in taken.items():
            figures[key] = {figure: round(float(value), 4) for figure, value in values.items()}
        typer.echo(f"{name}: {time.monotonic() - begun:.0f} s", err=True)
    return figures, failed


def main(
    as_json: Annotated[bool, typer.Option("--json", help="one object on stdout")] = False,
    only: Annotated[str, typer.Option(help=f"some of {', '.join(BENCHMARKS)}, with commas")] = ",".join(BENCHMARKS),
    equipment: Annotated[int, typer.Option(min=2, help="machines of the minute path, of 4 tags at 1 Hz")] = 1000,
    days: Annotated[int, typer.Option(min=2, help="days of history of the minute path")] = 30,
    rounds: Annotated[int, typer.Option(min=1, help="minutes that are measured; figures are medians")] = 5,
    rows: Annotated[int, typer.Option(min=1000, help="raw readings of the retention benchmark")] = 50_000_000,
    quick: Annotated[bool, typer.Option(help="seconds instead of minutes, to see that it runs")] = False,
) -> None:
    """Measure the warehouse; exit code 1 when a benchmark failed, 2 when there is none of a name."""
    names = chosen(only, BENCHMARKS)
    figures, failed = measure(names, rounds, quick, equipment, days, rows)
    tell(figures, EXPECTED, failed, as_json)


if __name__ == "__main__":
    # What is ended from outside must end its servers too; Python's own way out of SIGTERM runs nothing.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    typer.run(main)
