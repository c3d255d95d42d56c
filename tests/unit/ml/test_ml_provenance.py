"""What a version says that it was made with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ml.learning.provenance import provenance
from warehouse.settings import HOME


@pytest.mark.parametrize("name", ["bundle.py", "learning/training.py", "gates/decisions.py"])
def test_the_hash_of_the_code_is_of_the_model_and_of_every_room(name: str, tmp_path: Path) -> None:
    sources = tmp_path / "ml"
    shutil.copytree(HOME / "ml", sources)
    assert provenance(sources).code_hash == provenance().code_hash
    (sources / name).write_text((sources / name).read_text() + "# changed\n")
    assert provenance(sources).code_hash != provenance().code_hash
