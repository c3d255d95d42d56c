"""Who reads the marts is told to dbt: DAGs by what their tasks reach in the code, the queries of HMIs, dashboards."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.dbt.test_dbt_layers import MARTS, MODELS
from tests.integration.warehouse.test_warehouse_serving import ANSWER, DASHBOARD, PENDING
from warehouse.settings import HOME
from warehouse.transform import PROJECT

EXPOSURES = {
    one["name"]: {*one["depends_on"]}
    for one in yaml.safe_load((PROJECT / "models" / "marts" / "exposures.yml").read_text())["exposures"]
}
DAGS = {path.stem: path.read_text() for path in sorted((HOME / "dags").glob("*.py"))}
MART_NAMES = {name for name, model in MODELS.items() if model.room in MARTS}
# A room's tag in dbt_project.yml; those of the room `features` say theirs themselves.
HOURLY = {name for name in MART_NAMES if MODELS[name].room != "features" or "'hourly'" in MODELS[name].sql}
MINUTE = {name for name in MART_NAMES if "'minute'" in MODELS[name].sql}
# What the first two read is told by what a task asks of them, a selection of models or a checkpoint; the last lets go
# of days and reads none.
ASKED = {"warehouse.transform", "warehouse.quality", "warehouse.maintenance"}

Name = tuple[str, str]  # module and what it defines at its top


@cache
def _module(name: str) -> tuple[dict[str, ast.AST], dict[str, Name], dict[str, str]]:
    """What a module defines, the names that it takes from others, and the modules that it takes whole."""
    path = HOME / (name.replace(".", "/") + ".py")
    defined: dict[str, ast.AST] = {}
    taken: dict[str, Name] = {}
    whole: dict[str, str] = {}
    tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=found) | ast.ClassDef(name=found):
                defined[found] = node
            case ast.Assign(targets=[ast.Name(id=found)]) | ast.AnnAssign(target=ast.Name(id=found)):
                defined[found] = node
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and (HOME / node.module.replace(".", "/")).is_dir():
            whole |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            taken |= {one.asname or one.name: (node.module, one.name) for one in node.names}
    return defined, taken, whole


def _used(module: str, node: ast.AST) -> Iterator[Name]:
    defined, taken, whole = _module(module)
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            if part.id in defined:
                yield module, part.id
            elif part.id in taken:
                yield taken[part.id]
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in whole:
            yield whole[part.value.id], part.attr


def _reads(text: str) -> set[str]:
    """The marts that a DAG's tasks read or build."""
    ahead = [
        (node.module or "", one.name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for one in node.names
    ]
    seen: set[Name] = set()
    found: set[str] = set()
    while ahead:
        module, name = reached = ahead.pop()
        node = _module(module)[0].get(name)
        if reached in seen or module in ASKED or node is None:
            continue
        seen.add(reached)
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                found |= {*re.findall(r"(?:\b(?:FROM|JOIN)\s+|\A)marts\.(\w+)", part.value)}
        ahead += _used(module, node)
    if '"training_set"' in text:
        found |= {"gold_ml_features", "ml_training_set"}
    for selection in re.findall(r"\bbuild\(settings\(\), moment\(\)(?:, select=\"([^\"]+)\")?\)", text):
        found |= MART_NAMES if not selection else MINUTE if selection == "tag:minute" else HOURLY
    return found


READERS = {name: _reads(text) for name, text in DAGS.items()}


def test_the_readers_of_marts_are_found() -> None:
    assert {name for name, marts in READERS.items() if not marts} == {"maintenance_daily", "sync_feedback"}
    assert READERS["tune_weekly"] == {"gold_ml_features", "ml_training_set"}


@pytest.mark.parametrize("name", [name for name, marts in READERS.items() if marts])
def test_a_dag_that_reads_marts_is_an_exposure_of_them(name: str) -> None:
    assert EXPOSURES.get(name) == {f"ref('{mart}')" for mart in READERS[name]}


@pytest.mark.parametrize("query", [PENDING, DASHBOARD, ANSWER])
def test_a_query_of_an_hmi_is_an_exposure_of_what_it_names(query: str) -> None:
    (table,) = re.findall(r"(?:FROM|INTO) (\w+)", query)
    of_hmis = [needs for name, needs in EXPOSURES.items() if name.startswith("hmi_")]
    assert {f"source('serving', '{table}')"} in of_hmis


@pytest.mark.parametrize("path", sorted((HOME / "metabase").glob("*.sql")), ids=lambda path: str(path.stem))
def test_a_dashboard_is_an_exposure_of_what_its_cards_read(path: Path) -> None:
    read = re.findall(r"\b(?:FROM|JOIN)\s+(\w+)\.(\w+)", re.sub(r"--[^\n]*", "", path.read_text()))
    named = {f"ref('{name}')" if schema == "marts" else f"source('{schema}', '{name}')" for schema, name in read}
    assert EXPOSURES[f"metabase_{path.stem}"] == named
