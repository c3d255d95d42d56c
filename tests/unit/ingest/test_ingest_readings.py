"""Rows survive the spool, and a digest tells readings apart."""

import math
import struct
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.readings import (
    HISTORY,
    LIVE,
    NULL,
    NUMBER,
    TEXT,
    Readings,
    concatenate,
    digests,
    empty_rows,
    from_bytes,
    safe_text,
    to_bytes,
)

texts = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(["a\x00b", "\udcff", "RUNNING"])
values = st.none() | st.floats() | texts
cells = st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 2**32 - 1), values), max_size=20)


def batch(cells_: list[tuple[int, int, float | str | None]], origin: str = LIVE) -> Readings:
    rows, found = empty_rows(len(cells_)), []
    for row, (tag_id, status, value) in zip(rows, cells_, strict=True):
        row["tag_id"], row["status"] = tag_id, status
        if isinstance(value, str):
            row["kind"], row["text"] = TEXT, len(found)
            found.append(value)
        elif value is not None:
            row["kind"], row["value"] = NUMBER, value
    return Readings(rows, found, 5, -7, origin)


@given(cells, st.sampled_from(["live", "history", "backfill"]))
def test_the_spool_gives_back_what_it_got(given_cells: list[tuple[int, int, float | str | None]], origin: str) -> None:
    before = batch(given_cells, origin)
    after = from_bytes(to_bytes(before))
    assert after.rows.tobytes() == before.rows.tobytes()
    assert after.texts == before.texts
    assert (after.received_us, after.connected_us, after.origin) == (5, -7, origin)


def test_what_an_older_collector_spooled_is_live() -> None:
    rows = batch([(1, 0, "a"), (2, 0, 1.5)]).rows
    payload = struct.pack("<BqqIII", 1, 5, -7, 2, 1, 4) + rows.tobytes() + struct.pack("<I", 1) + b"a"
    after = from_bytes(payload)
    assert after.rows.tobytes() == rows.tobytes()
    assert (after.texts, after.received_us, after.connected_us, after.origin) == (["a"], 5, -7, LIVE)


def test_origins_are_not_mixed() -> None:
    one, two = batch([(1, 0, 1.0)], HISTORY), batch([(1, 0, 2.0)])
    assert concatenate([one, one]).origin == one.part(slice(0, 0)).origin == HISTORY
    with pytest.raises(ValueError, match="origins"):
        concatenate([one, two])


@given(cells, cells)
def test_joined_batches_keep_their_texts(
    one: list[tuple[int, int, float | str | None]], two: list[tuple[int, int, float | str | None]]
) -> None:
    joined = concatenate([batch(one), batch(two)])
    assert [joined.text(row) for row in joined.rows] == [v if isinstance(v, str) else None for _, _, v in [*one, *two]]


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00" * 40, b"\x07" + b"\x00" * 28, b"\x02\x09" + b"\x00" * 28, to_bytes(batch([(1, 0, "a")]))[:-1]],
)
def test_what_is_no_batch_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        from_bytes(payload)


def _splitmix64(x: int) -> int:
    z = (x + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


@given(cells)
def test_a_digest_is_that_of_the_definition(given_cells: list[tuple[int, int, float | str | None]]) -> None:
    readings = batch(given_cells)
    for got, (_, status, value) in zip(digests(readings.rows, readings.texts).tolist(), given_cells, strict=True):
        if isinstance(value, str):
            bits = int.from_bytes(blake2b(safe_text(value).encode(), digest_size=8).digest(), "little")
            wanted = bits ^ _splitmix64(status)
        elif value is None:
            wanted = _splitmix64(0xFFF8000000000000 ^ _splitmix64(status))
        else:
            bits = 0x7FF8000000000000 if math.isnan(value) else struct.unpack("<Q", struct.pack("<d", value))[0]
            wanted = _splitmix64(bits ^ _splitmix64(status))
        assert got % 2**64 == wanted


def test_readings_that_differ_have_digests_that_differ() -> None:
    readings = batch(
        [(1, 0, 1.0), (1, 0, 2.0), (1, 0x480, 1.0), (1, 0, None), (1, 0, math.nan), (1, 0, "1"), (1, 0, -0.0)]
    )
    assert len(set(digests(readings.rows, readings.texts).tolist())) == 7
    assert readings.rows["kind"].tolist().count(NULL) == 1


def test_every_nan_is_the_same_reading() -> None:
    rows = empty_rows(2)
    rows["kind"] = NUMBER
    rows["value"] = np.array([0x7FF8000000000001, 0xFFF8000000000123], np.uint64).view(np.float64)
    assert len(set(digests(rows, []).tolist())) == 1


@given(texts)
def test_safe_text_can_be_stored(text: str) -> None:
    safe = safe_text(text)
    assert "\x00" not in safe
    safe.encode("utf-8")
    if "\x00" not in text and all(not 0xD800 <= ord(c) <= 0xDFFF for c in text):
        assert safe == text
