"""The page of a drift check: one file that needs no network, with the plots in it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ml.drift.findings import Day, Finding
from ml.drift.reference import PLANT, SCORE, Profile
from ml.features import FEATURES, MEASUREMENTS
from warehouse.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ml.drift.check import DriftResult

TEMPLATE = "report.html.j2"
INDEX = "index.html.j2"
# More of them make a page that nobody looks through; the tables have the rest.
PLOTS = 8
MACHINES = 40
TABLE_ROWS = 200
_TRAINING, _TODAY, _DRIFTED = "#1f4e79", "#b85c00", "#a31515"


def folder(settings: Settings) -> Path:
    """Where the pages are, beside those that `make docs` serves."""
    return settings.var / "docs" / "drift"


def write(
    settings: Settings,
    result: DriftResult,
    profiles: Mapping[tuple[str, str], Profile],
    day: Day,
    path: Path | None = None,
) -> Path:
    """Write the page, by default as `var/docs/drift/DATE.html` with a list of all days beside it; returns its path."""
    own = path is None
    path = path or folder(settings) / f"{result.moment:%Y-%m-%d}.html"
    worst: dict[tuple[str, str], Finding] = {}
    for finding in sorted(result.drifted, key=lambda f: -f.excess):
        worst.setdefault((finding.equipment_id, finding.feature), finding)
    plots = [
        _plot(f"distribution-{number}", f"{place[0] or 'All machines'}: {place[1]}",
              _distribution(profiles[place], _values(day, *place), place[1]))
        for number, place in enumerate([place for place in worst if place in profiles][:PLOTS])
    ]  # fmt: skip
    if (PLANT, SCORE) in profiles and len(day.scores) and (PLANT, SCORE) not in worst:
        figure = _distribution(profiles[PLANT, SCORE], day.scores, SCORE)
        plots.append(_plot("scores", "All machines: anomaly_score", figure))
    overview = _overview(result.findings)
    unjudged: dict[str, int] = {}
    for finding in result.findings:
        if finding.bound is None and finding.reason:
            unjudged[finding.reason] = unjudged.get(finding.reason, 0) + 1
    _write(
        path, TEMPLATE, result=result, plots=plots, plant=[f for f in result.findings if f.equipment_id == PLANT],
        drifted=sorted(result.drifted, key=lambda f: -f.excess)[:TABLE_ROWS], more=len(result.drifted) - TABLE_ROWS,
        overview=_plot("overview", "Shift of each machine's measurements", overview) if overview else None,
        unjudged=unjudged, judged=sum(f.bound is not None for f in result.findings),
    )  # fmt: skip
    if own:
        pages = sorted((page.name for page in path.parent.glob("????-??-??.html")), reverse=True)
        _write(path.parent / "index.html", INDEX, pages=pages)
    return path


def _write(path: Path, name: str, **content: Any) -> None:
    from jinja2 import Environment, FileSystemLoader

    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(template.render(**content), encoding="utf-8")
    partial.replace(path)


def _values(day: Day, machine: str, feature: str) -> NDArray[np.float64]:
    if feature == SCORE:
        return day.scores
    values = day.of(machine)[:, FEATURES.index(feature)]
    return values[np.isfinite(values)]


def _figure(width: float, height: float) -> Figure:
    # Not pyplot, which keeps every figure and picks a window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _distribution(known: Profile, values: NDArray[np.float64], feature: str) -> Figure:
    """Cumulative shares: the share of training and of the day up to each value; their gap is what was measured."""
    figure = _figure(6.2, 3.0)
    axes = figure.add_subplot()
    if len(known.quantiles):
        axes.plot(known.quantiles, (np.arange(100) + 0.5) / 100, color=_TRAINING, label="training")
    if len(values):
        ordered = np.sort(values)
        label = "the day"
        axes.plot(ordered, (np.arange(len(ordered)) + 0.5) / len(ordered), color=_TODAY, linestyle="--", label=label)
    axes.set(xlabel=feature, ylabel="share of windows up to it", ylim=(0, 1))
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    return figure


def _overview(findings: list[Finding]) -> Figure | None:
    """Machines by measurements: the shift of the day's mean in units of its bound; beyond ±1 it drifted."""
    cells = {
        (f.equipment_id, f.feature.removesuffix("_deviation_60m")): float(np.sign(f.value)) * f.excess
        for f in findings
        if f.statistic == "shift" and f.bound
    }
    if not cells:
        return None
    furthest = {name: max(abs(v) for (machine, _), v in cells.items() if machine == name) for name, _ in cells}
    machines = sorted(sorted(furthest, key=lambda name: -furthest[name])[:MACHINES])
    columns = [name for name in (*MEASUREMENTS, "load_ratio") if any((m, name) in cells for m in machines)]
    table = np.array([[cells.get((machine, name), np.nan) for name in columns] for machine in machines])
    figure = _figure(2.6 + 1.0 * len(columns), 1.2 + 0.34 * len(machines))
    axes = figure.add_subplot()
    image = axes.imshow(table, cmap="PuOr_r", vmin=-2, vmax=2, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(machines)), machines)
    for row, column in np.argwhere(np.isfinite(table)):
        value = table[row, column]
        # Not by colour alone.
        axes.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=8,
                  color=_light_or_dark(value), fontweight="bold" if abs(value) > 1 else "normal")  # fmt: skip
    figure.colorbar(image, label="shift by its bound")
    return figure


def _light_or_dark(value: float) -> str:
    return "white" if abs(value) > 1.4 else "black"


def _plot(name: str, title: str, figure: Figure) -> dict[str, str]:
    """The figure as an SVG element with a title for those who don't see it; its ids are `name`'s own on the page."""
    import matplotlib

    text = io.StringIO()
    # Text stays text; the same figure gives the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-title" ', 1)
    return {"name": name, "title": title, "svg": svg}
