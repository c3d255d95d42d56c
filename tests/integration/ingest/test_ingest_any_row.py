"""Whatever a row holds, its batch lands: each row is an event or a rejected one, and nothing raises."""

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.readings import LIVE, NO_TIME, NULL, NUMBER, REJECTED, TEXT, Readings, empty_rows, to_us
from tests.integration.ingest.test_ingest_writer import PLANT, T0, Landing
from warehouse.settings import Settings

HOUR_US = 3_600_000_000
times = st.one_of(
    st.integers(to_us(T0) - HOUR_US, to_us(T0)),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([NO_TIME, 0, -(2**63) + 1, 2**63 - 1, to_us(T0) + 300_000_000, to_us(T0) + 300_000_001]),
)
row = st.tuples(
    times,
    times,
    st.floats(),
    st.sampled_from(["T", "V", "S", "Z"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([NULL, NUMBER, TEXT, REJECTED]),
    st.text(st.characters(codec=None), max_size=8) | st.sampled_from(["\x00", "\udcff", "why\x1f\x00\udcff"]),
)


@pytest.fixture
def landing(warehouse: Settings) -> Iterator[Landing]:
    made = Landing(warehouse, PLANT)
    yield made
    made.writer.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(row, min_size=1, max_size=12))
def test_every_row_lands_or_is_rejected(landing: Landing, admin: psycopg.Connection, drawn: list[tuple]) -> None:  # type: ignore[type-arg]
    admin.execute("TRUNCATE raw.rejected_events, raw.sensor_events, raw.tag_latest")
    landing.writer.close()
    rows, texts = empty_rows(len(drawn)), []
    for target, (source, server, value, tag, status, kind, text) in zip(rows, drawn, strict=True):
        target["source_ts"], target["server_ts"], target["value"] = source, server, value
        target["tag_id"], target["status"], target["kind"] = landing.tags.get(tag, 999), status, kind
        if kind in (TEXT, REJECTED):
            target["text"] = len(texts)
            texts.append(text)
    batch = Readings(rows, texts, to_us(T0), to_us(T0) - HOUR_US, LIVE)
    for _ in range(2):
        landed = landing.writer.land([Readings(rows.copy(), texts, to_us(T0), 0, LIVE)], T0)
        assert landed.rejected <= len(drawn)
    events = admin.execute("SELECT count(*) FROM raw.sensor_events").fetchone()
    refused = admin.execute("SELECT count(*) FROM raw.rejected_events").fetchone()
    assert events is not None
    assert refused is not None
    # Rows that say the same are one row.
    assert 1 <= events[0] + refused[0] <= len(drawn)
    in_window = (rows["source_ts"] >= to_us(T0) - HOUR_US) & (rows["source_ts"] <= to_us(T0) + 300_000_000)
    numbers = in_window & np.isin(rows["kind"], [NULL, NUMBER]) & (rows["tag_id"] != 999)
    assert events[0] >= len({(r["tag_id"].item(), r["source_ts"].item()) for r in batch.rows[numbers]})
