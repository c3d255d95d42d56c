"""The page docs/scoreboard.md: a table a set, its protocol and guards, and what is bad, from the figures themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_OPENING = """# Scoreboard

Every figure is of a run that is said under its set, bad ones included; `scoreboard.json` holds the same unrounded.

Rows said to be *published* are others' figures, never run here. F1 is 2 TP / (2 TP + FP + FN), FAR the share of
what is normal that was flagged, MAR the share of what is anomalous that was not; – is a figure that there was nothing
to count for. A row on *raw channels* is an estimator alone; the *product path* lands the readings, builds the features
by dbt and scores them, with the settings that it ships with except where it is said.
"""


def page(scoreboard: Mapping[str, Any]) -> str:
    """The scoreboard as Markdown; the same object is `scoreboard.json`."""
    parts = [_OPENING]
    if any(found.get("aims") for found in scoreboard["sets"].values()):
        parts.append("## What was aimed at\n\n" + _aims(scoreboard["sets"]))
    parts += [f"## Left out: {name}\n\n{reason}\n" for name, reason in scoreboard["left_out"].items()]
    parts += [_set(name, found) for name, found in scoreboard["sets"].items()]
    return "\n".join(parts)


def _aims(sets: Mapping[str, Any]) -> str:
    rows = [
        {
            "set": name, "figure": one["figure"], "got": one["value"], "aim": f"{one['sign']} {one['bound']:g}",
            "": "" if one["held"] else "**short**",
        }
        for name, found in sets.items() for one in found.get("aims", [])
    ]  # fmt: skip
    return table(rows)


def _set(name: str, found: Mapping[str, Any]) -> str:
    published = [row | {"path": row.get("path", "published")} for row in found["published"]]
    parts = [
        f"## {found.get('title', name)}\n",
        f"**Protocol.** {found['protocol']}\n",
        f"**What keeps leaks out.** {found['guards']}\n",
        table([*found["rows"], *published]),
    ]
    if note := found.get("published_note"):
        parts.append(f"{note}\n")
    if failed := found.get("failed"):
        parts.append(f"**Failed.** {failed}\n")
    bad = [*_short(found), *found.get("findings", [])]
    if bad:
        parts.append("**What is bad, and why.**\n\n" + "\n".join(f"- {sentence}" for sentence in bad) + "\n")
    for title, rows in found.get("tables", {}).items():
        parts.append(f"### {title}\n\n{table(rows)}")
    parts.append(_made(found["made"]))
    return "\n".join(parts)


def _made(made: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    return (
        f"**Run.** `{made['command']}`, {made['seconds'] / 60:.1f} minutes until {made['at']}. {made['commit']}."
        f" {made['machine']}. {versions}.\n"
    )


def _short(found: Mapping[str, Any]) -> list[str]:
    return [
        f"Short of its aim: {one['figure']} is {shown(one['value'])}, aimed at {one['sign']} {one['bound']:g}."
        for one in found.get("aims", [])
        if not one["held"]
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows by name as a Markdown table; a column is where its first row has it."""
    if not rows:
        return "Nothing to show.\n"
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(shown(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(value: Any) -> str:
    """A figure as the page has it: three digits, thousands apart, – where there is none."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value).replace("|", "\\|")
