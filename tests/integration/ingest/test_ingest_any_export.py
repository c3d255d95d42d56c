"""Whatever an export says, a load ends well: a row is in its table or refused with a reason, and a repeat is silent."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.files.load import load
from warehouse.settings import Settings

COLUMNS = (
    "count_id", "equipment_id", "order_id", "from_ts", "to_ts", "produced_quantity", "good_quantity", "unit",
    "available_at",
)  # fmt: skip
# Fields as exports have them, good, odd and wrong, beside any text at all.
TEXT = st.text(max_size=8)
TIME = st.sampled_from(
    ["2026-01-01", "2026-01-01T00:00:00Z", "2026-03-29T02:30:00+02:00", "9999-12-31", "0001-01-01", "20260101", ""]
)
NUMBER = st.sampled_from(["0", "5", "-1", "1e3", "1e308", "1e999", "inf", "nan", "0x10", "1_0", "١", "", "5,0"])
KEY = st.sampled_from(["C1", "C2", "C3", "C4 ", "NULL"])
ANY = st.tuples(
    KEY | TEXT, TEXT, TEXT, TIME | TEXT, TIME | TEXT, NUMBER | TEXT, NUMBER | TEXT, TEXT, TIME | TEXT
)  # fmt: skip
# Mostly good, so that keys meet each other.
ORDER = st.sampled_from(["", "PO"])
FROM, TO = st.sampled_from(["2026-01-01", "2026-01-01T01:00Z"]), st.sampled_from(["2026-01-02", "2026-01-01T01:00Z"])
ODD = st.tuples(KEY, st.just("PUMP"), ORDER, FROM, TO, NUMBER, st.sampled_from(["0", "5"]), st.just("t"), FROM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("exports")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ODD | ANY, max_size=12))
def test_every_row_is_loaded_or_refused(
    warehouse: Settings, admin: psycopg.Connection, folder: Path, rows: list[tuple[str, ...]]
) -> None:
    admin.execute("TRUNCATE raw.mes_production_counts, raw.rejected_rows, raw.loads, raw.former_rows")
    path = folder / "mes_production_counts.csv"
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    (first,) = load(warehouse, "mes", [path])
    (again,) = load(warehouse, "mes", [path])
    kept = admin.execute(
        "SELECT (SELECT count(*) FROM raw.mes_production_counts), (SELECT count(*) FROM raw.former_rows),"
        " (SELECT count(*) FROM raw.rejected_rows WHERE reason = '')"
    ).fetchone()
    assert kept == (first.inserted, 0, 0)
    assert first.inserted + first.rejected <= first.rows == again.rows
    assert (again.inserted, again.updated, again.rejected) == (0, 0, first.rejected)
    bad = admin.execute(
        "SELECT count(*) FROM raw.mes_production_counts WHERE to_ts <= from_ts"
        " OR produced_quantity IN ('NaN', 'Infinity')"
    ).fetchone()
    assert bad == (0,)
