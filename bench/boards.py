"""The dashboards' cards on the warehouse that runs: what someone who opens a dashboard waits for.

    python -m bench.boards            beside `make demo`
    python -m bench.boards --json     one object: milliseconds a card, medians; `all.slowest_ms` is what counts

Every card of metabase/*.sql is run as Metabase's role, to its last row.
"""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path
from typing import Annotated, Final

import psycopg
import typer

from bench.figures import AT_MOST, Expected, Figures, machine, tell
from warehouse import server
from warehouse.errors import WarehouseError
from warehouse.roles import Role, connect
from warehouse.settings import HOME, Settings

FILES: Final = tuple(sorted((HOME / "metabase").glob("*.sql")))
EXPECTED: Final[Expected] = {"all": {"slowest_ms": (AT_MOST, 1000)}}


def cards(path: Path) -> list[tuple[str, str]]:
    """Title and query of each card of a file; raises ValueError where it doesn't begin with one."""
    parts = re.split(r"^-- card: (.+)\n-- display: \w+\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if parts[0]:
        raise ValueError(f"{path} must begin with a card: -- card: TITLE, then -- display: KIND")
    return list(zip(parts[1::2], parts[2::2], strict=True))


def measure(connection: psycopg.Connection, rounds: int) -> dict[str, Figures]:
    """Milliseconds of each card by file, the median of `rounds`, and the slowest of all of them."""
    asked = [(path.stem, title, query) for path in FILES for title, query in cards(path)]
    taken: dict[tuple[str, str], list[float]] = {(name, title): [] for name, title, _ in asked}
    for _ in range(rounds):
        for name, title, query in asked:
            begun = time.perf_counter()
            connection.execute(query.encode()).fetchall()
            taken[name, title].append(1000 * (time.perf_counter() - begun))
    found: dict[str, Figures] = {}
    for (name, title), times in taken.items():
        found.setdefault(name, {})[title] = round(statistics.median(times), 1)
    slowest = max(value for figures in found.values() for value in figures.values())
    return found | {"all": {"cards": len(asked), "slowest_ms": slowest}}


def main(
    as_json: Annotated[bool, typer.Option("--json", help="one object on stdout")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="times that each card is run")] = 5,
) -> None:
    """Run every card on the warehouse that runs; exit code 2 where none does."""
    settings = Settings()
    typer.echo(machine(), err=True)
    try:
        server.wait(settings, 5)
    except WarehouseError as error:
        typer.echo(f"{error}: start one by `make demo`", err=True)
        raise typer.Exit(2) from error
    with connect(settings, Role.BI, autocommit=True) as connection:
        tell(measure(connection, rounds), EXPECTED, [], as_json)


if __name__ == "__main__":
    typer.run(main)
