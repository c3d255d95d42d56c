"""The minutes that stand for ten are the same ones to numpy, to SQL and to the macro that a first build thins by."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
from jinja2 import Environment

from warehouse.grid import GRID_MINUTES, on_grid, sql_on_grid
from warehouse.transform import PROJECT

MACROS = ("minute_number.sql", "features/on_stride.sql")


def test_numpy_sql_and_dbt_agree(admin: psycopg.Connection) -> None:
    texts = "".join((PROJECT / "macros" / name).read_text(encoding="utf-8") for name in MACROS)
    var = {"gold_stride": GRID_MINUTES}.__getitem__
    macros: Any = Environment().from_string(texts, globals={"var": var}).module
    end = "minute + interval '1 minute'"
    query = (
        f"SELECT (extract(epoch FROM {end}) * 1000000)::bigint, {macros.on_stride('minute')}, {sql_on_grid(end)}"
        " FROM generate_series('2026-01-01'::timestamptz, '2026-02-09 23:59', '1 minute') AS minute"
    )
    ends, dbt, sql = (np.array(column) for column in zip(*admin.execute(query.encode()), strict=True))
    assert len(ends) == 40 * 1440 and sql.sum() == len(ends) / GRID_MINUTES
    assert np.array_equal(sql, on_grid(ends))
    assert np.array_equal(dbt, sql)
