"""The rules of the layers, read from the project's files: who may read whom, and what every model says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from warehouse.transform import PROJECT

ROOMS = ("staging", "intermediate", "features", "dimensions", "facts", "boards")
MARTS = ROOMS[2:]
# The domain of a staging model is told by the word after stg_.
DOMAINS = {
    **dict.fromkeys(("sensor", "tags", "equipment", "plants", "limits", "critical"), "plant"),
    **dict.fromkeys(("scores", "scored", "recommendations", "operator", "verdicts"), "ml"),
    **{name: name for name in ("mes", "sap", "cmms", "ops")},
    "former": "enterprise",
}
# The names and columns that others depend on.
CONTRACTED = {
    "silver_enriched_sensors", "gold_ml_features", "dim_equipment", "dim_plant", "dim_date", "dim_defect_types",
    "fact_sensor_readings", "fact_equipment_events", "fact_quality_inspections", "fact_production_metrics",
    "mart_equipment_health", "mart_predictive_maintenance", "mart_quality_dashboard",
}  # fmt: skip
KEY_TESTS = ("unique", "unique_pair", "unique_combination")


@dataclass(frozen=True)
class Model:
    """One model: its SQL without comments, and what its YAML says."""

    name: str
    room: str
    sql: str
    spec: dict[str, Any]

    @property
    def refs(self) -> set[str]:
        return set(re.findall(r"""\bref\(\s*['"](\w+)['"]\s*\)""", self.sql))

    @property
    def declared_domain(self) -> str | None:
        found = re.search(r"""meta\s*=\s*\{\s*['"]domain['"]\s*:\s*['"](\w+)['"]""", self.sql)
        meta = {**self.spec.get("meta", {}), **self.spec.get("config", {}).get("meta", {})}
        return found.group(1) if found else meta.get("domain")

    @property
    def unkeyed(self) -> str:
        """Why its key has no test, where that is so."""
        return str(self.spec.get("config", {}).get("meta", {}).get("unkeyed", ""))


def _bare(sql: str) -> str:
    return re.sub(r"--[^\n]*|\{#.*?#\}|/\*.*?\*/", "", sql, flags=re.DOTALL)


def _models() -> dict[str, Model]:
    found = {}
    for path in sorted((PROJECT / "models").rglob("*.sql")):
        beside = path.with_suffix(".yml")
        described = yaml.safe_load(beside.read_text())["models"] if beside.exists() else []
        spec: dict[str, Any] = next((one for one in described if one["name"] == path.stem), {})
        found[path.stem] = Model(path.stem, path.parent.name, _bare(path.read_text()), spec)
    return found


MODELS = _models()
SOURCE_FILES = sorted(path for path in (PROJECT / "models").rglob("*.yml") if "\nsources:" in f"\n{path.read_text()}")
SINGULAR = sorted((PROJECT / "tests").glob("*.sql"))


def forbidden(model: Model, models: dict[str, Model]) -> list[str]:
    """What of the model's reading the layers don't allow, a sentence each."""
    wrong = []
    if re.search(r"\bsource\(", model.sql) and model.room != "staging":
        wrong.append("reads a source: staging alone does")
    staging = set()
    for name in model.refs & models.keys():
        room = models[name].room
        if model.room == "staging":
            wrong.append(f"reads {name}: staging reads sources only")
        elif model.room == "intermediate" and room in MARTS:
            wrong.append(f"reads {name}: intermediate never reads a mart")
        elif model.room in MARTS and room == "staging":
            staging.add(DOMAINS[name.split("_")[1]])
    if len(staging) > 1:
        wrong.append(
            f"reads staging of {', '.join(sorted(staging))}: a mart may of one domain, joins are intermediate's"
        )
    elif staging and staging != {model.declared_domain}:
        wrong.append(
            f"reads staging of {staging.pop()} and declares config(meta={{'domain': {model.declared_domain!r}}})"
        )
    return wrong


def test_every_model_is_in_a_room_and_every_staging_model_in_a_domain() -> None:
    assert len(MODELS) >= 40
    assert {model.name: model.room for model in MODELS.values() if model.room not in ROOMS} == {}
    staging = [model.name for model in MODELS.values() if model.room == "staging"]
    assert [name for name in staging if name.split("_")[1] not in DOMAINS] == []


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_reads_only_what_its_layer_may(name: str) -> None:
    assert forbidden(MODELS[name], MODELS) == []
    assert MODELS[name].refs <= MODELS.keys()


@pytest.mark.parametrize(
    ("room", "sql", "word"),
    [
        ("boards", "select * from {{ source('raw', 'tags') }}", "staging alone"),
        ("staging", "select * from {{ ref('stg_tags') }}", "sources only"),
        ("intermediate", "select * from {{ ref('gold_ml_features') }}", "never reads a mart"),
        (
            "boards",
            "{{ config(meta={'domain': 'mes'}) }} {{ ref('stg_mes_shifts') }} {{ ref('stg_scores') }}",
            "mes, ml",
        ),
        ("facts", "select * from {{ ref('stg_mes_shifts') }}", "'domain': None"),
    ],
)
def test_what_breaks_a_rule_is_found(room: str, sql: str, word: str) -> None:
    (sentence,) = forbidden(Model("m", room, sql, {}), MODELS)
    assert word in sentence


def test_macros_read_no_source() -> None:
    paths = [path for folder in ("macros", "materializations") for path in (PROJECT / folder).rglob("*.sql")]
    texts = {str(path.relative_to(PROJECT)): _bare(path.read_text()) for path in paths}
    assert {"macros/features/flat.sql", "materializations/view.sql"} <= texts.keys()
    assert [name for name, text in texts.items() if re.search(r"\{\{\s*source\(|[^\w]source\('", text)] == []


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_says_what_a_row_of_it_is_and_tests_its_key(name: str) -> None:
    spec = MODELS[name].spec
    assert spec, "a YAML of its name beside it"
    assert re.match(r"(At most )?[Oo]ne row", spec["description"]), "the description opens with the grain"
    columns = spec.get("columns", [])
    assert [column["name"] for column in columns if not column.get("description", "").strip()] == []
    tests = [test for owner in [spec, *columns] for test in owner.get("data_tests", [])]
    names = {next(iter(test)) if isinstance(test, dict) else test for test in tests}
    ephemeral = "ephemeral" in MODELS[name].sql
    assert names & {*KEY_TESTS} or ephemeral or MODELS[name].unkeyed, "a tested key, or meta.unkeyed with the reason"


@pytest.mark.parametrize("name", sorted(CONTRACTED))
def test_what_others_depend_on_has_an_enforced_contract(name: str) -> None:
    assert name in MODELS, "dropped or renamed: whoever reads it finds nothing"
    spec = MODELS[name].spec
    assert spec.get("config", {}).get("contract", {}).get("enforced") is True
    assert [column["name"] for column in spec["columns"] if "data_type" not in column] == []


@pytest.mark.parametrize("path", SOURCE_FILES, ids=lambda path: str(path.name))
def test_every_source_has_a_freshness_or_says_why_it_has_none(path: Path) -> None:
    text = path.read_text()
    for source in yaml.safe_load(text)["sources"]:
        for table in source["tables"]:
            freshness = table.get("config", {}).get("freshness", "not said")
            assert freshness is None or set(freshness) & {"warn_after", "error_after"}, table["name"]
    without = [line for line in text.splitlines() if "freshness: null" in line]
    assert [line for line in without if "#" not in line] == []


@pytest.mark.parametrize("path", SINGULAR, ids=lambda path: path.stem)
def test_a_singular_test_opens_with_why(path: Path) -> None:
    assert path.read_text().startswith("-- Why: ")
