"""What benchmarks give and how it is shown: figures by benchmark, each beside what is expected of it."""

from __future__ import annotations

import json
import operator
import platform
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Final

import psutil
import typer
from rich.console import Console
from rich.table import Table

Figures = dict[str, float]
Expected = Mapping[str, Mapping[str, tuple[str, float]]]
AT_LEAST, AT_MOST = "≥", "≤"
_HOLDS: Final[dict[str, Callable[[float, float], bool]]] = {AT_LEAST: operator.ge, AT_MOST: operator.le}


def machine() -> str:
    """What the figures were taken on, in a line."""
    memory = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{psutil.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()} {platform.release()},"
        f" Python {platform.python_version()}, load {psutil.getloadavg()[0]:.1f} before the run"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a device of the kernel, not a file
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def chosen(only: str, benchmarks: Collection[str]) -> tuple[str, ...]:
    """The benchmarks that `only` names, with commas between; exits with 2 where there is none of a name."""
    names = tuple(name.strip() for name in only.split(","))
    if unknown := [name for name in names if name not in benchmarks]:
        typer.echo(f"--only must be some of {', '.join(benchmarks)}. Got: {unknown[0]!r}", err=True)
        raise typer.Exit(2)
    typer.echo(machine(), err=True)
    return names


def tell(figures: Mapping[str, Figures], expected: Expected, failed: Collection[str], as_json: bool) -> None:
    """Print a table, or one object; exits with 1 where a benchmark failed."""
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        Console(width=100, file=sys.stdout).print(table(figures, expected))
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def table(figures: Mapping[str, Figures], expected: Expected) -> Table:
    """Every figure, beside what was expected of it."""
    made = Table("benchmark", "figure", "value", "expected", box=None)
    for name, taken in figures.items():
        for key, value in taken.items():
            sign, bound = expected.get(name, {}).get(key, ("", 0.0))
            wanted = f"{sign} {bound:,g}" + ("" if _HOLDS[sign](value, bound) else "  short") if sign else ""
            made.add_row(name, key, f"{value:,.2f}", wanted)
    return made
