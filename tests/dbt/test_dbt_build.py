"""The whole project: it builds with its tests, and its generated contract is current."""

from __future__ import annotations

import json

import psycopg

from tests.dbt.site import START
from warehouse import feature_contract
from warehouse.settings import Settings
from warehouse.transform import PROJECT, invoke


def test_dbt_build_as_it_is_passes_on_an_empty_warehouse(warehouse: Settings, admin: psycopg.Connection) -> None:
    # The command line's build, unit tests and all; the project's own runs leave those out.
    variables = json.dumps({"moment": START.isoformat()})
    arguments = ["build", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--vars", variables]
    result = invoke(warehouse, [*arguments, "--quiet", "--log-level-file", "none"])
    assert result.succeeded, result.failures
    assert admin.execute("SELECT count(*) FROM marts.gold_ml_features").fetchone() == (0,)
    assert admin.execute("SELECT count(*) FROM ops.watermarks WHERE pipeline = 'transform'").fetchone() == (1,)


def test_the_contract_of_gold_is_current() -> None:
    assert feature_contract.TARGET.read_text(encoding="utf-8") == feature_contract.current()
