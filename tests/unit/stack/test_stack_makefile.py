"""make finds a Python that runs, and says what is wrong where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse.settings import HOME


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make -f Makefile` in an empty folder, with nothing but `folder` and the system's own tools on the path."""
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    command = ["make", "-f", str(HOME / "Makefile"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_shim_without_its_python_is_passed_over(folder: Path) -> None:
    for name in ("python3", "python3.13"):
        program(folder / name, "echo 'no such version' >&2; exit 127")
    program(folder / "python3.12", f'exec {sys.executable} "$@"')
    assert "python3.12 -m venv" in make(folder, "-n", "demo").stdout


def test_a_python_that_is_too_old_is_answered_with_what_is_needed(folder: Path) -> None:
    program(folder / "old", 'test "$1" = --version && echo Python 3.9.1 && exit 0; exit 1')
    done = make(folder, "demo", f"PYTHON={folder}/old")
    assert done.returncode == 2
    assert "Python 3.11, 3.12 or 3.13 is needed. Got: Python 3.9.1" in done.stderr
