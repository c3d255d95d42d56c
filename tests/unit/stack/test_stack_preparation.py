"""The order of the steps, with a record that needs no database and steps that are shell commands."""

from __future__ import annotations

import io
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from stack import preparation
from stack.errors import StackError
from stack.preparation import Preparation
from stack.steps import STEPS, Step, run_step
from stack.supervisor import spawn
from warehouse.settings import Settings

# A held step writes that it is ready, then waits as `run_step` does; what each did is a line of the journal.
SCRIPTS = {
    "first": 'for i in $(seq 100); do [ -e "$FOLDER/held" ] && break; sleep 0.1; done; echo first >> "$FOLDER/journal"',
    "second": 'touch "$FOLDER/held"; read line; echo "second $line" >> "$FOLDER/journal"',
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(preparation, "environment", lambda settings: {"FOLDER": str(tmp_path)})
    monkeypatch.setattr(
        Preparation,
        "_record",
        lambda self: {"system_identifier": "1", "until": "2026-03-01T00:00:00+00:00", "steps": {}},
    )
    return Settings(var=tmp_path)


def steps(monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str]) -> None:
    table = {
        "first": Step("First", lambda context: None),
        "second": Step("Second", lambda context: None, ("first",), imports=("json",)),
    }
    monkeypatch.setattr(preparation, "STEPS", table)

    def start(command: str, environment: dict[str, str], log: Path, stdin: int = subprocess.DEVNULL):  # type: ignore[no-untyped-def]
        name = command.split()[4]
        assert command.endswith("--held") == (stdin == subprocess.PIPE)
        return spawn(f"sh -c '{scripts[name]}'", environment, log, stdin)

    monkeypatch.setattr(preparation, "spawn", start)


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_step_with_imports_is_held_while_what_it_needs_is_under_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step ends only once the second one has begun, which must not do its work before it is let go."""
    steps(monkeypatch, SCRIPTS)
    heard: list[str] = []
    seconds = Preparation(settings, True, 1, done=heard.append, console=quiet()).run()
    assert (settings.var / "journal").read_text() == "first\nsecond \n"
    assert heard == ["first", "second"]
    assert seconds.keys() == {"first", "second"}


def test_a_step_does_what_it_covers_and_a_late_one_is_a_run_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps(monkeypatch, {"all": "exit 0", "last": "exit 0", "part": "exit 1"})
    table = {
        "last": Step("Last", lambda context: None, ("all",), late=True),
        "part": Step("A part of it", lambda context: None, imports=("json",)),
        "all": Step("All", lambda context: None, covers=("part",)),
    }
    monkeypatch.setattr(preparation, "STEPS", table)
    heard: list[str] = []
    made = Preparation(settings, True, 1, done=heard.append, console=quiet())
    assert made.run().keys() == {"all"}
    assert heard == ["all", "part"]
    assert made.run(late=True).keys() == {"last"}


def test_a_step_is_held_from_the_stage_that_it_names(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step says so only once it has seen that nobody is held yet, and is past the stage by then."""
    says = (
        'sleep 0.5; test ! -e "$FOLDER/held" || exit 1; mkdir -p "$FOLDER/prepare";'
        ' echo "[[\\"late\\", \\"later\\"], 1, 2]" > "$FOLDER/told";'
        ' mv "$FOLDER/told" "$FOLDER/prepare/first.progress";'
        ' while [ ! -e "$FOLDER/held" ]; do sleep 0.02; done'
    )
    steps(monkeypatch, {"first": says, "second": 'touch "$FOLDER/held"; read line'})
    held = Step("Second", lambda context: None, ("first",), imports=("json",), held_from="late")
    monkeypatch.setitem(preparation.STEPS, "second", held)
    heard: list[str] = []
    Preparation(settings, True, 1, done=heard.append, console=quiet()).run()
    assert heard == ["first", "second"]


def test_a_step_is_held_beside_the_one_that_it_names(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its need is not begun yet, and the step that leaves a core waits until it is held."""
    steps(monkeypatch, SCRIPTS | {"third": "true"})
    last = Step("Second", lambda context: None, ("third",), imports=("json",), held_beside="first")
    monkeypatch.setitem(preparation.STEPS, "third", Step("Third", lambda context: None, ("first",)))
    monkeypatch.setitem(preparation.STEPS, "second", last)
    heard: list[str] = []
    Preparation(settings, True, 1, done=heard.append, console=quiet()).run()
    assert heard == ["first", "third", "second"]
    assert (settings.var / "journal").read_text() == "first\nsecond \n"


def test_a_held_step_that_dies_is_told_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    steps(monkeypatch, SCRIPTS | {"second": 'touch "$FOLDER/held"; echo no such module >&2; exit 3'})
    with pytest.raises(StackError, match=r"Second failed; the end of .*\nno such module"):
        Preparation(settings, True, 1, console=quiet()).run()


def command_of(process: psutil.Process) -> list[str]:
    """Nothing where it has ended since it was listed, as a session of Postgres below the same process may."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_a_held_step_is_not_left_behind(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    steps(monkeypatch, SCRIPTS | {"first": SCRIPTS["first"] + "; exit 1"})
    with pytest.raises(StackError, match="First failed"):
        Preparation(settings, True, 1, console=quiet()).run()
    deadline = time.monotonic() + 10
    while any("held" in " ".join(command_of(p)) for p in psutil.Process().children(recursive=True)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_held_step_that_nobody_lets_go_does_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setitem(STEPS, "held", Step("Held", lambda context: done.append("run"), imports=("json",)))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(StackError, match="held"):
        run_step(settings, "held", None, 1, held=True)  # type: ignore[arg-type]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    run_step(settings, "held", None, 1, held=True)  # type: ignore[arg-type]
    assert done == ["run"]


def test_a_step_that_was_not_held_is_warmed_up_as_well(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `covers` names may be done while it warms up: a step that is begun late has to do it, too."""
    done: list[str] = []
    step = Step("Late", lambda context: done.append("run"), warms_up=lambda settings: done.append("warm"))
    monkeypatch.setitem(STEPS, "late", step)
    run_step(settings, "late", None, 1)  # type: ignore[arg-type]
    assert done == ["warm", "run"]
