"""Data Docs: what the checkpoints found, as a static page under `var/docs/quality/` that needs no network.

Great Expectations has pages of its own; they take their styles, scripts and icons from six hosts of the internet, which
a plant's network doesn't let through, and show one run at a time. This page is made of `ops.data_quality_results`:
each check with its last run, what was seen, what failed, and how it went before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from warehouse.roles import Role, connect
from warehouse.settings import Settings

TEMPLATE = "data_docs.html.j2"
# Runs of each check that the page shows.
RUNS = 48

# The newest first, so the checks of a run come in the reverse of the checkpoint's order.
_RESULTS = """
SELECT checkpoint, subject, detail, expectation, blocking, succeeded, observed, moment
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY checkpoint, subject, detail, expectation ORDER BY moment DESC, result_id DESC
    ) AS age
    FROM ops.data_quality_results
    WHERE moment > (SELECT max(moment) FROM ops.data_quality_results) - interval '60 days'
) AS recent
WHERE age <= %s
ORDER BY checkpoint, moment DESC, result_id DESC
"""


@dataclass(frozen=True)
class Run:
    """One result of a check."""

    succeeded: bool
    moment: datetime
    observed: dict[str, Any]

    @property
    def text(self) -> str:
        return observed_text(self.observed)


@dataclass(frozen=True)
class History:
    """A check and its results, the newest first; `current` unless the checkpoint's last run didn't have it."""

    subject: str
    wanted: str
    expectation: str
    blocking: bool
    runs: list[Run]
    current: bool

    @property
    def state(self) -> str:
        if self.runs[0].succeeded:
            return "passed"
        return "failed" if self.blocking else "warning"


def observed_text(observed: dict[str, Any]) -> str:
    """What a check saw, as a few words; empty where there was nothing to see."""
    if "value" in observed:
        return str(observed["value"])
    if "error" in observed:
        return str(observed["error"])
    if "of" not in observed:
        return ""
    examples = "; ".join(", ".join(f"{k} {_short(v)}" for k, v in row.items()) for row in observed["examples"])
    return f"{observed['failing_rows']} of {observed['of']} rows" + (f" ({examples})" if examples else "")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def data_docs(settings: Settings) -> Path:
    """Where the page is."""
    return settings.var / "docs" / "quality" / "index.html"


def write_data_docs(settings: Settings) -> Path:
    """Write the page from the results that are stored, whole or not at all; returns its path."""
    from jinja2 import Environment, FileSystemLoader

    with connect(settings, Role.SCORE) as connection:
        checkpoints = _histories(connection.execute(_RESULTS, (RUNS,)))
    template = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    text = template.get_template(TEMPLATE).render(checkpoints=checkpoints)
    path = data_docs(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return path


def _histories(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[History]]:
    found: dict[str, dict[tuple[str, str, str], History]] = {}
    newest: dict[str, datetime] = {}
    for checkpoint, subject, wanted, expectation, blocking, succeeded, observed, moment in rows:
        last = newest.setdefault(checkpoint, moment)
        history = found.setdefault(checkpoint, {}).setdefault(
            (subject, wanted, expectation), History(subject, wanted, expectation, blocking, [], moment == last)
        )
        history.runs.append(Run(succeeded, moment, observed or {}))
    return {
        checkpoint: [h for h in reversed(histories.values()) if h.current] for checkpoint, histories in found.items()
    }
