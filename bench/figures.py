"""What benchmarks give and how it is shown: figures by benchmark, each beside what is expected of it."""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable, Mapping
from typing import Final

import psutil
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


def table(figures: Mapping[str, Figures], expected: Expected) -> Table:
    """Every figure, beside what was expected of it."""
    made = Table("benchmark", "figure", "value", "expected", box=None)
    for name, taken in figures.items():
        for key, value in taken.items():
            sign, bound = expected.get(name, {}).get(key, ("", 0.0))
            wanted = f"{sign} {bound:,g}" + ("" if _HOLDS[sign](value, bound) else "  short") if sign else ""
            made.add_row(name, key, f"{value:,.2f}", wanted)
    return made
