"""Which rows of the mart are drawn, and that a first build's sparse history is drawn as a dense one."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from ml import sampling
from ml.grid import GRID_MINUTES, sql_on_grid
from ml.policy import Policy
from tests.integration.ml.conftest import FAULTS, NOON, START
from warehouse.roles import Role, connect
from warehouse.settings import Settings

# What a first build leaves out: what is older than a day, off the grid, and not in the day before an event.
LEFT_OUT = f"""
DELETE FROM marts.gold_ml_features AS g
WHERE g.window_end <= %(dense_from)s AND NOT {sql_on_grid("g.window_end")}
    AND NOT EXISTS (
        SELECT FROM raw.cmms_failures AS f
        WHERE f.equipment_id = g.equipment_id AND g.window_end > f.failed_at - interval '24 hours'
            AND g.window_end <= f.failed_at
    )
"""


def draw(settings: Settings, policy: Policy) -> sampling.Sample:
    with connect(settings, Role.SCORE) as connection:
        return sampling.draw(connection, NOON, policy)


def test_a_short_history_is_drawn_whole(with_past: Settings, policy: Policy) -> None:
    sample = draw(with_past, policy)
    minutes = int((NOON - START) / timedelta(minutes=1))
    assert sample.step == 1
    assert sample.read_rows == 3 * minutes


def test_a_sparse_history_with_a_dense_last_day_is_drawn_as_if_it_were_dense(
    with_past: Settings, policy: Policy, admin: psycopg.Connection
) -> None:
    fewer = policy.model_copy(update={"max_normal_rows": 1000})
    whole = draw(with_past, fewer)
    assert whole.step == GRID_MINUTES
    admin.execute(LEFT_OUT, {"dense_from": NOON - timedelta(days=1)})
    assert draw(with_past, fewer).hash() == whole.hash()
    positive = whole.rows.action[whole.rows.event >= 0]
    assert set(positive) == {"schedule_maintenance", "reduce_speed"}, "every minute before a failure counts"
    assert len(positive) > len(FAULTS) * 60
    # All of it would fit now, and still the last day must not weigh ten times as much as those before.
    assert draw(with_past, policy).step == GRID_MINUTES
