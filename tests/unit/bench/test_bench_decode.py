"""The decoders' benchmark compares what reads the same, and finds columns faster than objects."""

import itertools

import pytest

from bench import decode


def test_columns_are_read_faster_than_objects() -> None:
    figures = decode.measure(1, quick=True)
    assert figures["ratio"] == pytest.approx(figures["values_per_s"] / figures["asyncua_values_per_s"])
    assert figures["ratio"] > 5
    assert figures["mixed_ratio"] > 1


def test_decoders_that_disagree_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = decode._decode(decode.one_layout(3))
    monkeypatch.setattr(decode, "_decode", lambda body: readings.part(slice(0, 2)))
    with pytest.raises(RuntimeError, match="disagree"):
        decode.measure(1, quick=True)


def test_no_item_of_the_mixed_ones_has_the_layout_of_the_one_before() -> None:
    items = decode._asyncua(decode.mixed(200))
    layouts = [
        (item.Value.Value.VariantType, item.Value.ServerTimestamp is None)  # times alone change at every item
        for item in items
    ]
    assert all(one != other for one, other in itertools.pairwise(layouts))
