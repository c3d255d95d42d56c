"""Which rows of `marts.ml_training_set` a model is trained and judged on, as of a moment.

A plant's history is mostly normal minutes that say the same. Normal rows are thinned to every `step`-th minute, evenly
over machines and time, and weigh `step` when rates are worked out; every row near a failure or an answer is taken.

They are thinned on a grid of full ten minutes (`GRID_MINUTES`), for a first build writes no more of the past: its
sparse days and the dense ones that came after then weigh alike. A short and dense history keeps every row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml import features
from ml.ahead import Ahead, label_ahead
from ml.errors import ModelError
from ml.features import Windows, micros
from ml.horizons import reach
from ml.labels import HOUR, Event, Labelled, events, judgments, label
from ml.policy import GRID_MINUTES, Policy

# A row is as it was at its time where nothing that it was made from came later than the grace.
_USABLE = "g.window_end <= %(moment)s AND g.available_at <= g.window_end + %(grace)s"
# Minutes since 1970 that a window ends on.
_ENDS = "(extract(epoch FROM g.window_end) / 60)::bigint"
# Hashed, so that a step that divides an hour doesn't pick the same minute of every hour.
_THINNED = (
    "FROM marts.ml_training_set AS g WHERE "
    + _USABLE
    + (
        f" AND {_ENDS} %% %(grid)s = 0"
        f" AND abs(hashint8({_ENDS} / %(grid)s + hashtext(g.equipment_id))::bigint) %% %(every)s = 0"
    )
)
_NEAR = (
    "FROM unnest(%(machines)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[]) AS e (machine, since, until)"
    " JOIN marts.ml_training_set AS g ON g.equipment_id = e.machine"
    " AND g.window_end > e.since AND g.window_end <= e.until WHERE " + _USABLE
)


@dataclass(frozen=True)
class Sample:
    """Labelled rows up to a moment; normal ones stand for `step` minutes each."""

    rows: Labelled
    step: int
    since: int  # microseconds
    until: int
    read_rows: int
    events: list[Event]
    ahead: Ahead  # every row that was read, with the machine's next failure

    def hash(self) -> str:
        """What the rows were, in 16 hex digits: machines, times, features and labels."""
        digest = hashlib.sha256()
        windows = self.rows.windows
        for part in (windows.ends, windows.x, self.rows.hours, self.rows.weight, self.ahead.hours, self.ahead.clear):
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update("\n".join([*windows.equipment.astype(str), *self.rows.action.astype(str)]).encode())
        return digest.hexdigest()[:16]


def draw(connection: psycopg.Connection, moment: datetime, policy: Policy) -> Sample:
    """Read and label the training rows as of `moment`."""
    features.require_mart(connection)
    features.require_mart(connection, features.TRAINING_SET, ("equipment_id", "window_end", "over_gap", "available_at"))
    counted = connection.execute(
        f"SELECT count(*), count(*) FILTER (WHERE {_ENDS} %% %(grid)s = 0), min(window_end), max(window_end)"
        " FROM marts.gold_ml_features AS g WHERE window_end <= %(moment)s",
        {"moment": moment, "grid": GRID_MINUTES},
    ).fetchone()
    if counted is None or not counted[0]:
        raise ModelError(
            f"{features.MART} has no rows up to {moment:%Y-%m-%d %H:%M} UTC: land readings, then transform"
        )
    total, on_grid, first, last = counted
    grid, every = thinning(total, on_grid, policy.max_normal_rows)
    step = grid * every
    parameters = {
        "moment": moment, "grace": timedelta(minutes=policy.grace_minutes), "grid": grid, "every": every
    }  # fmt: skip
    known, answers = events(connection, moment), judgments(connection, moment)
    thinned = features.read(connection, _THINNED, parameters)
    stretches = [(e.equipment_id, e.at - int(policy.positive_hours * HOUR), e.at) for e in known]
    stretches += [(a.equipment_id, a.since, a.until) for a in answers]
    near = features.read(
        connection,
        _NEAR,
        parameters
        | {
            "machines": [s[0] for s in stretches],
            "since": [features.from_micros(s[1]) for s in stretches],
            "until": [features.from_micros(s[2]) for s in stretches],
        },
    )
    windows = _distinct(thinned, near)
    rows = label(windows, known, answers, policy, micros(moment))
    ahead = label_ahead(windows, known, _stands_for(windows, stretches, step), micros(last))
    return Sample(rows, step, micros(first), micros(last), len(windows), known, ahead)


def thinning(rows: int, on_grid: int, most: int) -> tuple[int, int]:
    """Which rows to take: those on a grid of so many minutes, and of them one in so many; about `most` in all.

    `rows` are all that the mart has, `on_grid` those on full ten minutes. Where they are more than a tenth of all, a
    part of the history is on the grid alone, and none of the rows between count.
    """
    dense = GRID_MINUTES * on_grid
    if dense <= min(most, 1.1 * rows):
        return 1, 1
    return GRID_MINUTES, max(1, on_grid // most)


def _distinct(first: Windows, second: Windows) -> Windows:
    """Both, each (machine, end) once, ordered by time and machine."""
    equipment = np.concatenate([first.equipment, second.equipment])
    ends = np.concatenate([first.ends, second.ends])
    both = Windows(equipment, ends, np.concatenate([first.over_gap, second.over_gap]), np.vstack([first.x, second.x]))
    _, machine = np.unique(equipment.astype(str), return_inverse=True)
    order = np.lexsort((machine, ends))
    keep = np.ones(len(order), bool)
    keep[1:] = (np.diff(ends[order]) != 0) | (np.diff(machine[order]) != 0)
    return both.take(order[keep])


def _stands_for(windows: Windows, stretches: list[tuple[str, int, int]], step: int) -> NDArray[np.float64]:
    """How many minutes each row stands for: one where all of them were taken, else the step of the thinning."""
    weight = np.full(len(windows), float(step))
    rows_of = {name: np.flatnonzero(windows.equipment == name) for name in set(windows.equipment)}
    for machine, since, until in stretches:
        rows = rows_of.get(machine, np.empty(0, np.int64))
        weight[rows[(windows.ends[rows] > since) & (windows.ends[rows] <= until)]] = 1.0
    return weight


def split_ahead(sample: Sample, policy: Policy) -> tuple[Ahead, Ahead, NDArray[np.float64]]:
    """Rows to learn horizons from, rows to judge them on, and the edges (k,) in hours that the past allows.

    A training row's farthest horizon is over when the held-out time begins, so no failure after the split is in it;
    a held-out one's when the sample ends.
    """
    border = split_at(sample, policy)
    edges = reach((border - sample.since) / HOUR)
    farthest = float(edges[-1]) if len(edges) else 0.0
    early = sample.ahead.between(sample.since - 1, border, farthest)
    return early, sample.ahead.between(border, sample.until, farthest), edges


def split_at(sample: Sample, policy: Policy) -> int:
    """Where the held-out time begins, in microseconds: the last share of the rows' time, at most so many days."""
    span = sample.until - sample.since
    return sample.until - int(min(span * policy.held_out_share, policy.held_out_days * 24 * HOUR))


def split(sample: Sample, policy: Policy) -> tuple[Labelled, Labelled]:
    """Training rows before the split, held-out rows after it.

    A fault whose failure came after the split is in neither's positives before it: nobody knew then. What later
    failures made doubtful stays out of the normal rows on both sides, which removes rows and labels none.
    """
    border = split_at(sample, policy)
    rows = sample.rows
    early = rows.windows.ends <= border
    ended = np.array([event.at for event in sample.events] + [0])
    known_then = (rows.event < 0) | (ended[rows.event] <= border)
    return rows.take(np.flatnonzero(early & known_then)), rows.take(np.flatnonzero(~early))
