"""The scoreboard: SKAB, NAB, Azure PdM and the demo plant, each figure beside the published one.

    python -m bench.scoreboard --data ../shared/data                     writes docs/scoreboard.md and .json
    python -m bench.scoreboard --data DIR --only skab --out /tmp/other   another folder of the same form

Sets that `--only` leaves out keep the figures that they have there, with the commit and machine of their own run. DIR
holds `skab/<folder>/*.csv`, `nab/*.csv` with `windows.json`, `azure_pdm/`; a set that isn't there is said and left out.
Files are read and checked before anything runs.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.figures import machine
from bench.scoreboard import demo, nab, skab
from bench.scoreboard.errors import ScoreboardError
from bench.scoreboard.files import azure_paths, check_azure, nab_paths, skab_paths
from bench.scoreboard.report import page
from warehouse.settings import HOME

_LIBRARIES = ("scikit-learn", "numpy", "pandas", "dbt-core", "mlflow")


@dataclass(frozen=True)
class Set:
    """`run(data, folder)` gives the figures, `missing(data)` why there are none, `check(data)` raises on a bad file."""

    run: Callable[[Path, Path], dict[str, Any]]
    missing: Callable[[Path], str | None] = lambda data: None
    check: Callable[[Path], None] = lambda data: None


def _no_files(what: str, paths: Callable[[Path], list[Path]]) -> Callable[[Path], str | None]:
    return lambda data: None if paths(data) else f"There is no {what} in {data}."


def _azure(data: Path, folder: Path) -> dict[str, Any]:
    # Its boosting is imported by those who run it.
    found: dict[str, Any] = import_module("bench.scoreboard.azure").run(data, folder)
    return found


SETS: Mapping[str, Set] = {
    "skab": Set(skab.run, _no_files("skab/<folder>/*.csv", skab_paths), skab.check),
    "nab": Set(nab.run, _no_files("nab/*.csv", nab_paths), nab.check),
    "azure": Set(_azure, _no_files("azure_pdm with all of its files", azure_paths), check_azure),
    "demo": Set(demo.run),
}


def board(data: Path, names: list[str], sets: Mapping[str, Set], command: str) -> tuple[dict[str, Any], list[str]]:
    """Run the named sets one after another; returns the scoreboard, and the names of those that failed.

    Each set carries in `made` what its figures are of. Raises ScoreboardError for the first file that can't be judged,
    before anything runs.
    """
    left_out = {name: reason for name in names if (reason := sets[name].missing(data))}
    wanted = [name for name in names if name not in left_out]
    for name in wanted:
        sets[name].check(data)
    made = {
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "versions": {"Python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
    }
    found: dict[str, Any] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="millwright-scoreboard-", dir=os.environ.get("MILLWRIGHT_BENCH_DIR")) as at:
        Path(at).chmod(0o755)  # as root, Postgres runs as a system user that has to get in
        for name in wanted:
            typer.echo(f"== {name}", err=True)
            begun = time.monotonic()
            folder = Path(at) / name
            folder.mkdir()
            try:
                figures = _plain(sets[name].run(data, folder))
            except Exception as error:  # one that fails must not cost the figures of the others
                traceback.print_exc()
                failed.append(name)
                left_out[name] = (
                    f"It failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                )
                continue
            seconds = time.monotonic() - begun
            ended = datetime.now(UTC).isoformat(timespec="seconds")
            found[name] = figures | {"made": made | {"at": ended, "seconds": seconds}}
            if "failed" in figures:
                failed.append(name)
            typer.echo(f"== {name}: {seconds:.0f} s", err=True)
    return {"left_out": left_out, "sets": found}, failed


def kept(path: Path, names: list[str]) -> dict[str, Any]:
    """The sets of the scoreboard at `path`, if there is one, that are none of `names`; raises ScoreboardError."""
    if not path.exists():
        return {}
    try:
        sets = json.loads(path.read_text())["sets"]
        return {name: sets[name] for name in SETS if name in sets and name not in names and sets[name]["made"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ScoreboardError(f"{path}: not a scoreboard whose other sets could be kept; take it away") from error


def commit() -> str:
    """Which code it was, in words."""
    try:
        run = [
            subprocess.run(["git", *asked], cwd=HOME, capture_output=True, text=True, check=True).stdout.strip()
            for asked in (
                ["rev-parse", "--short=12", "HEAD"],
                # The page that an earlier set has written is no change of the code.
                ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/scoreboard.*"],
            )
        ]
    except (OSError, subprocess.CalledProcessError):
        return "Commit unknown"
    return f"Commit {run[0]}" + (" with changes" if run[1] else "")


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: no numpy, and None for what isn't finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(
    data: Annotated[Path, typer.Option(help="folder with skab/, nab/, azure_pdm/")] = Path("../shared/data"),
    only: Annotated[str, typer.Option(help=f"some of {', '.join(SETS)}, with commas")] = ",".join(SETS),
    out: Annotated[Path, typer.Option(help="folder to write scoreboard.md and scoreboard.json to")] = HOME / "docs",
) -> None:
    """Judge the models on every set that is there; exit code 1 where one failed, 2 where a file can't be judged."""
    names = [name.strip() for name in only.split(",")]
    if unknown := [name for name in names if name not in SETS]:
        raise typer.BadParameter(f"must be some of {', '.join(SETS)}. Got: {unknown[0]!r}", param_hint="--only")
    if not out.is_dir():
        raise typer.BadParameter(f"must be a folder that is there. Got: {out}", param_hint="--out")
    asked = ["--data", str(data)] + ([] if names == list(SETS) else ["--only", only])
    path = out / "scoreboard.json"
    try:
        kept(path, names)
        scoreboard, failed = board(
            data.resolve(), names, SETS, shlex.join(["python", "-m", "bench.scoreboard", *asked])
        )
        # Read again: another run may have written its sets meanwhile.
        sets = kept(path, names) | scoreboard["sets"]
    except ScoreboardError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    scoreboard["sets"] = {name: sets[name] for name in SETS if name in sets}
    path.write_text(json.dumps(scoreboard, indent=2, ensure_ascii=False) + "\n")
    (out / "scoreboard.md").write_text(page(scoreboard))
    for name, reason in scoreboard["left_out"].items():
        typer.echo(f"left out: {name}: {reason}", err=True)
    typer.echo(f"{out / 'scoreboard.md'}: {', '.join(scoreboard['sets']) or 'no set'}")
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    # What is ended from outside must end its servers too; Python's own way out of SIGTERM runs nothing.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    typer.run(main)
