"""The documentation covers every setting, command and Makefile target, and its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from warehouse.settings import Settings

HOME = Path(__file__).resolve().parents[3]
DOCS = sorted([*HOME.glob("*.md"), *(HOME / "docs").rglob("*.md")])


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", HOME / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings", "commands", "enterprise"])
def test_the_reference_is_what_the_code_says(page: str) -> None:
    written = (HOME / "docs" / "reference" / f"{page}.md").read_text()
    assert written == getattr(generator(), f"{page}_page")(), "run: python docs/generate.py"


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_makefile_target_is_documented() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (HOME / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) >= 6
    prose = "\n".join(path.read_text() for path in DOCS)
    assert [target for target in targets if f"make {target}" not in prose] == []


def test_every_command_in_the_docs_exists() -> None:
    reference = (HOME / "docs" / "reference" / "commands.md").read_text()
    known = set(re.findall(r"^### `python -m (\w+ [\w-]+)`$", reference, re.MULTILINE))
    folders = {command.split()[0] for command in known}
    for path in DOCS:
        used = set(re.findall(r"python -m (\w+ [a-z][\w-]+)", path.read_text()))
        assert {command for command in used - known if command.split()[0] in folders} == set(), path


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(HOME)))
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", path.read_text()):
        assert (path.parent / target).exists(), target
