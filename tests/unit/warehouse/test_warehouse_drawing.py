"""How many minutes a row stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warehouse.drawing import thinning
from warehouse.grid import GRID_MINUTES

DAY = 1440


def test_a_short_history_keeps_every_row() -> None:
    assert thinning(3 * DAY, 3 * DAY // GRID_MINUTES, 80_000) == (1, 1)


def test_a_long_one_is_thinned_on_the_grid_and_then_further() -> None:
    assert thinning(100 * DAY, 100 * DAY // GRID_MINUTES, 80_000) == (GRID_MINUTES, 1)
    assert thinning(1700 * DAY, 1700 * DAY // GRID_MINUTES, 80_000) == (GRID_MINUTES, 3)


def test_a_short_one_that_is_sparse_before_its_last_day_is_not_taken_for_a_dense_one() -> None:
    """Its last day would weigh ten times as much as each one before it."""
    assert thinning(DAY + 2 * DAY // GRID_MINUTES, 3 * DAY // GRID_MINUTES, 80_000) == (GRID_MINUTES, 1)


@given(
    sparse=st.integers(0, 400_000), dense=st.integers(0, 400_000), most=st.integers(1000, 200_000)
)  # fmt: skip
def test_what_is_taken_stands_for_the_history_and_is_about_as_much_as_asked(sparse: int, dense: int, most: int) -> None:
    """`sparse` blocks of ten minutes have one row, `dense` ones all ten."""
    rows, on_grid = sparse + GRID_MINUTES * dense, sparse + dense
    grid, every = thinning(rows, on_grid, most)
    taken = rows if grid == 1 else on_grid / every
    assert taken <= max(2 * most, 1)
    minutes = GRID_MINUTES * on_grid
    assert taken * grid * every >= 0.9 * minutes
    assert taken * grid * every <= 1.1 * minutes
