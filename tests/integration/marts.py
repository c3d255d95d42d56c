"""The marts that models read, without a run of dbt: gold as an empty table, and the training set's own SQL over it."""

from __future__ import annotations

import re

import psycopg
import yaml
from jinja2 import Environment

from ml.features import MART, MEASUREMENTS, TRAINING_SET
from warehouse.transform import PROJECT


def mart_columns() -> dict[str, str]:
    """The columns of `marts.gold_ml_features` with their types."""
    columns = {
        "equipment_id": "text", "window_end": "timestamptz", "run_state": "text", "is_running": "boolean",
        "in_maintenance": "boolean", "load_ratio": "float8", "regime": "smallint",
    }  # fmt: skip
    for m in MEASUREMENTS:
        for w in (5, 15, 30, 60):
            columns |= {f"{m}_{stat}_{w}m": "float8" for stat in ("mean", "std", "min", "max", "deviation")}
        columns |= {f"{m}_slope_{w}m": "float8" for w in (5, 15, 60)}
        columns |= {f"{m}_flat_minutes": "smallint", f"{m}_z_score_24h": "float8"}
    return columns | {
        "temperature_x_vibration": "float8", "bad_share_60m": "float8", "missing_share_60m": "float8",
        "over_gap": "boolean", "running_hours_24h": "float8", "hours_since_maintenance": "float8",
        "failures_90d": "integer", "errors_24h": "integer", "equipment_age_days": "float8",
        "hour_of_day": "smallint", "weekday": "smallint", "available_at": "timestamptz",
        "built_xid": "xid8 DEFAULT pg_current_xact_id()",
    }  # fmt: skip


def training_set() -> str:
    """The SQL of `ml_training_set` and of the views below it, as dbt would render it over raw, ml and the mart."""
    models = {path.stem: path.read_text() for path in (PROJECT / "models").rglob("*.sql")}
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]

    def ref(name: str) -> str:
        return MART if MART.endswith(f".{name}") else f"({render(name)})"

    def render(name: str) -> str:
        text = re.sub(r"\{\{ config\(.*?\) \}\}", "", models[name], flags=re.DOTALL)
        template = Environment(extensions=["jinja2.ext.do"]).from_string(text)
        return template.render(ref=ref, var=variables.__getitem__, source=lambda schema, table: f"{schema}.{table}")

    return render("ml_training_set")


def make_marts(transform: psycopg.Connection) -> None:
    """Make both, gold without any index."""
    columns = ", ".join(f"{name} {kind}" for name, kind in mart_columns().items())
    transform.execute(f"CREATE TABLE {MART} ({columns})")  # type: ignore[call-overload]
    transform.execute(f"CREATE VIEW {TRAINING_SET} AS {training_set()}")  # type: ignore[call-overload]
