"""Which rows of the mart are drawn, and that a first build's sparse history is drawn as a dense one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from ml.features import micros
from ml.labels import HOUR, Labelled
from ml.learning import sampling
from ml.policy import Policy
from tests.integration.ml.conftest import FAULTS, NOON, START
from warehouse.grid import GRID_MINUTES, on_grid, sql_on_grid
from warehouse.roles import Role, connect
from warehouse.settings import Settings

QUARTER = timedelta(minutes=15)
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


def _before(rows: Labelled, machine: str, at: datetime) -> NDArray[np.bool_]:
    """The rows that an answer to what was shown at `at` is about."""
    ends = rows.windows.ends
    return (rows.windows.equipment == machine) & (ends > micros(at - QUARTER)) & (ends <= micros(at))


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


def test_an_answer_is_drawn_whole_weighs_its_minutes_and_is_known_when_it_was_given(
    with_past: Settings, policy: Policy, admin: psycopg.Connection
) -> None:
    """And outcomes days later: before them nobody could have learnt from what they say."""
    fewer = policy.model_copy(update={"max_normal_rows": 1000})
    rejected, confirmed = START + timedelta(hours=50), FAULTS[2].until - timedelta(hours=8)
    for machine, at, said, known in (
        ("PUMP-1", rejected, "false_positive", rejected + timedelta(hours=2)),
        ("PUMP-3", confirmed, "true_positive", confirmed + timedelta(days=1)),
    ):
        admin.execute(
            "INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, source, source_id, judged_at)"
            " VALUES (%s, %s, %s, %s, 'feedback', %s, %s)",
            (machine, at - QUARTER, at, said, machine, known),
        )
    admin.execute(
        "UPDATE marts.gold_ml_features SET vibration_deviation_5m = 9 WHERE equipment_id = 'PUMP-3'"
        " AND window_end > %s AND window_end <= %s",
        (confirmed - QUARTER, confirmed),
    )
    sample = draw(with_past, fewer)
    rows, ends = sample.rows, sample.rows.windows.ends
    no, yes = (_before(rows, *answer) for answer in (("PUMP-1", rejected), ("PUMP-3", confirmed)))
    assert no.sum() == yes.sum() == 15
    assert rows.minutes[no].tolist() == rows.minutes[yes].tolist() == [1.0] * 15
    evenly = on_grid(ends)
    assert np.array_equal(rows.asked, (no | yes) & ~evenly), "what an even draw has anyway is a fair draw of time"
    assert set(rows.minutes[~rows.positive & ~no]) == {float(sample.step)} == {float(GRID_MINUTES)}
    assert sample.ahead.weight.sum() == pytest.approx(3 * (NOON - START) / timedelta(minutes=1), rel=0.02)
    assert set(rows.known[no]) == {micros(rejected + timedelta(hours=2))}
    failures = rows.event >= 0
    assert set(rows.known[failures]) == {e.known for e in sample.events}
    assert all(e.known == e.at + HOUR for e in sample.events)

    before, _ = sampling.divide(rows, micros(rejected + timedelta(hours=1)))
    assert (before.weight == 1).all() and not before.asked.any(), "not yet rejected: rows as any other"
    after, _ = sampling.divide(rows, micros(rejected + timedelta(hours=2)))
    assert (after.weight > 1).sum() == 15
    for hours, taught in ((23, 0), (24, 15)):
        learnt, _ = sampling.divide(rows, micros(confirmed + timedelta(hours=hours)))
        of_answer = (learnt.event < 0) & learnt.positive
        assert of_answer.sum() == taught
    border = micros(FAULTS[1].until) + HOUR // 2
    learnt, _ = sampling.divide(rows, border)
    assert set(learnt.event[learnt.event >= 0]) == {0}, "the second one was recorded half an hour later"

    # Of what an earlier system answered the mart has the grid alone.
    admin.execute(LEFT_OUT, {"dense_from": NOON - timedelta(days=1)})
    rows = draw(with_past, fewer).rows
    sparse = _before(rows, "PUMP-1", rejected)
    assert sparse.sum() in (1, 2) and set(rows.minutes[sparse]) == {float(GRID_MINUTES)}


def test_a_failure_that_was_recorded_after_the_split_is_in_no_horizon_before_it(
    with_past: Settings, policy: Policy, admin: psycopg.Connection
) -> None:
    sample = draw(with_past, policy)
    border = sampling.split_at(sample, policy)
    early, _, edges = sampling.split_ahead(sample, policy)
    last = max(e.at for e in sample.events if e.at <= border)
    newest = next(n for n, e in enumerate(sample.events) if e.at == last)
    near = (early.event == newest) & (early.hours <= edges[-1])
    assert near.any()
    late = [replace(e, available=border + 1) if e.at == last else e for e in sample.events]
    fewer, _, _ = sampling.split_ahead(replace(sample, events=late), policy)
    assert len(fewer) == len(early) - near.sum()
