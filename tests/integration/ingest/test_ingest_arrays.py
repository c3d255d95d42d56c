"""Binary arrays: Postgres reads what numpy had, NULLs included."""

import numpy as np
import psycopg
import pytest

from ingest.landing import arrays
from ingest.landing.arrays import BIGINT, FLOAT, INTEGER, TIMESTAMPTZ, array, text_array
from ingest.readings import to_datetime


@pytest.mark.parametrize("null", [None, [False, False, False], [True, False, True], [True, True, True]])
def test_numbers_arrive_as_they_were(admin: psycopg.Connection, null: list[bool] | None) -> None:
    numbers = np.array([1, -2, 2**31 - 1])
    mask = None if null is None else np.array(null)
    row = (
        arrays.cursor(admin)
        .execute(
            "SELECT %s::integer[], %s::bigint[], %s::double precision[], %s::timestamptz[]",
            [array(numbers, element, mask) for element in (INTEGER, BIGINT, FLOAT, TIMESTAMPTZ)],
        )
        .fetchone()
    )
    kept = [None if absent else number for number, absent in zip(numbers.tolist(), null or [False] * 3, strict=True)]
    times = [None if number is None else to_datetime(number) for number in kept]
    assert row == (kept, kept, kept, times)


def test_odd_floats_and_texts_arrive_as_they_were(admin: psycopg.Connection) -> None:
    row = (
        arrays.cursor(admin)
        .execute(
            "SELECT %s::double precision[]::text[], %s::text[]",
            (array(np.array([np.nan, np.inf, -0.0]), FLOAT), text_array(["", None, "NULL", 'ü"\\,{}'])),
        )
        .fetchone()
    )
    assert row == (["NaN", "Infinity", "-0"], ["", None, "NULL", 'ü"\\,{}'])


def test_nothing_is_an_empty_array(admin: psycopg.Connection) -> None:
    row = arrays.cursor(admin).execute(
        "SELECT cardinality(%s::integer[]), cardinality(%s::text[])", (array(np.empty(0), INTEGER), text_array([]))
    )
    assert row.fetchone() == (0, 0)
