"""What a model is made with: the code, the libraries that fit, and a hash of what was fitted."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ml.scorecard import Scorecard
from warehouse.settings import HOME

LIBRARIES = ("numpy", "scipy", "scikit-learn", "skops", "mlflow", "psycopg")
_SOURCES = HOME / "ml"


@dataclass(frozen=True)
class Provenance:
    """Code and libraries of this process; `code_hash` tells also what no commit knows."""

    code_version: str
    code_hash: str
    libraries: dict[str, str]


def provenance(sources: Path = _SOURCES) -> Provenance:
    """What a model fitted now is made with."""
    libraries = {name: version(name) for name in LIBRARIES}
    return Provenance(
        _code_version(),
        _hash_of(sources),
        libraries | {"python": platform.python_version(), "machine": platform.machine()},
    )


def fingerprint(card: Scorecard) -> str:
    """16 hex digits over every fitted array of `card`: equal for models that are equal bit for bit."""
    digest = hashlib.sha256()
    for name, array in sorted(card.arrays().items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _code_version() -> str:
    git = shutil.which("git")
    if git and (HOME / ".git").exists():
        commit = _ask(git, "rev-parse", "HEAD")
        if commit:
            return commit + ("+changes" if _ask(git, "status", "--porcelain", "--", "ml") else "")
    # An image carries no repository.
    return str(tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["version"])


def _ask(git: str, *words: str) -> str:
    # A repository that belongs to another user answers nothing; the sources' hash still tells.
    answer = subprocess.run([git, "-C", str(HOME), *words], capture_output=True, text=True, check=False, timeout=10)
    return answer.stdout.strip()


def _hash_of(sources: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources.rglob("*.py")):
        digest.update(path.relative_to(sources).as_posix().encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()[:16]
