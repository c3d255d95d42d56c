"""Which rows of the training set are drawn evenly over machines and time: training and its checkpoint take the same.

They are thinned to one minute of ten (`warehouse.grid`), for a first build writes no more of the past: its
sparse days and the dense ones that came after then weigh alike. A short and dense history keeps every row.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from warehouse.grid import GRID_MINUTES, sql_on_grid
from warehouse.settings import Environment


class Drawing(Environment):
    """What of the models' policy says which rows they learn from; read from `MILLWRIGHT_ML_*`."""

    model_config = SettingsConfigDict(env_prefix="MILLWRIGHT_ML_")

    max_normal_rows: int = Field(80_000, ge=1000, description="normal rows are sampled down to about this many")
    positive_hours: float = Field(12.0, gt=0, description="how long before a failure its signs are learnt")
    grace_minutes: int = Field(10, ge=0, description="a mart row is as it was at its time if complete within")


# What the mart has up to a moment: rows, those on the grid, and the first and the last end.
EXTENT = f"""
SELECT count(*), count(*) FILTER (WHERE {sql_on_grid("window_end")}), min(window_end), max(window_end)
FROM marts.gold_ml_features WHERE window_end <= %(moment)s
"""


def thinning(rows: int, of_grid: int, most: int) -> tuple[int, int]:
    """Which rows to take: all (1) or those on the grid (its minutes), and of them one in so many; about `most` in all.

    `rows` are all that the mart has, `of_grid` those on the grid. Where they are more than a tenth of all, a
    part of the history is on the grid alone, and none of the rows between count.
    """
    dense = GRID_MINUTES * of_grid
    if dense <= min(most, 1.1 * rows):
        return 1, 1
    return GRID_MINUTES, max(1, of_grid // most)


def sql_evenly(grid: int, every: int) -> str:
    """That the thinning takes a row of the training set, `g`, as an SQL expression; no percent sign is in it."""
    # Hashed, so that a step that divides an hour doesn't pick the same minute of every hour.
    place = f"hashint8((extract(epoch FROM g.window_end) / 60)::bigint / {grid} + hashtext(g.equipment_id))"
    taken = f"mod(abs({place}::bigint), {every}) = 0"
    if grid > 1:
        taken = f"{sql_on_grid('g.window_end')} AND {taken}"
    # The planner guesses that one row in 200 passes each of two such equations, and half of them a CASE. Of a handful
    # of rows it holds each against every failure of the plant: 1,000 machines have thousands.
    return f"CASE WHEN {taken} THEN true ELSE false END"


def sql_usable(moment: str, grace: str) -> str:
    """That a row of the training set, `g`, is as it was at its time: nothing in it came after the grace."""
    return f"g.window_end <= {moment} AND g.available_at <= g.window_end + {grace}"
