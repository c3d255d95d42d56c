"""Which rows of `marts.ml_training_set` a model is trained and judged on, as of a moment.

A plant's history is mostly normal minutes that say the same. Normal rows are thinned to every `step`-th minute, evenly
over machines and time; every row near a failure or an answer is taken. When rates are worked out, a row counts for the
minutes that it stands for: `step`, or one where all of them were taken. How they are thinned is in `warehouse.drawing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml import features, watermark
from ml.ahead import Ahead, label_ahead
from ml.errors import ModelError
from ml.features import Windows, micros
from ml.horizons import reach
from ml.labels import HOUR, Event, Labelled, events, judgments, label
from ml.policy import Policy
from ml.scorecard import CONTINUE
from warehouse.drawing import EXTENT, sql_evenly, sql_usable, thinning
from warehouse.grid import GRID_MINUTES, on_grid

Stretch = tuple[str, int, int]  # machine, and after when until when in microseconds
_USABLE = sql_usable("%(moment)s", "%(grace)s")
_NEAR = (
    "FROM unnest(%(machines)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[]) AS e (machine, since, until)"
    " JOIN marts.ml_training_set AS g ON g.equipment_id = e.machine"
    " AND g.window_end > e.since AND g.window_end <= e.until WHERE " + _USABLE
)


@dataclass(frozen=True)
class Sample:
    """Labelled rows up to a moment; those of the thinning stand for `step` minutes each."""

    rows: Labelled
    step: int
    since: int  # microseconds
    until: int
    read_rows: int
    events: list[Event]
    ahead: Ahead  # every row that was read, with the machine's next failure

    def hash(self) -> str:
        """What the rows were, in 16 hex digits: machines, times, features, labels and weights."""
        digest = hashlib.sha256(f"{self.step}\n".encode())
        windows = self.rows.windows
        ahead = (self.ahead.hours, self.ahead.clear, self.ahead.weight)
        for part in (windows.ends, windows.x, self.rows.hours, self.rows.weight, self.rows.event, *ahead):
            digest.update(np.ascontiguousarray(part).tobytes())
        # What samples didn't keep once counts where it isn't what was taken for granted then: theirs keep their hashes.
        for name, assumed in _assumed(self.rows.positive, self.rows.event, self.events, self.step).items():
            part = getattr(self.rows, name)
            if (part != assumed).any():
                digest.update(f"{name}\n".encode() + np.ascontiguousarray(part).tobytes())
        words = [*windows.equipment.astype(str), *self.rows.action.astype(str), *(str(e.at) for e in self.events)]
        words += [f"known {e.known}" for e in self.events if e.known > e.at]
        digest.update("\n".join(words).encode())
        return digest.hexdigest()[:16]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays of numbers and text, for an `.npz` that is read without pickle."""
        rows, ahead = self.rows, self.ahead
        actions, action = np.unique(rows.action.astype(np.str_), return_inverse=True)
        return {
            **rows.windows.arrays("rows"), "actions": actions, "action": action.astype(np.int8), "hours": rows.hours,
            "weight": rows.weight, "event": rows.event, "minutes": rows.minutes, "asked": rows.asked,
            "known": rows.known,
            **ahead.windows.arrays("ahead"), "ahead.hours": ahead.hours, "ahead.clear": ahead.clear,
            "ahead.event": ahead.event, "ahead.weight": ahead.weight,
            "extent": np.array([self.step, self.since, self.until, self.read_rows], np.int64),
            "events": np.array([[str(value) for value in astuple(e)] for e in self.events], np.str_).reshape(-1, 8),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Sample:
        """The inverse of `arrays`. What an earlier version's lack is what was taken for granted then."""
        known = [
            Event(
                str(name),
                str(machine),
                str(mode),
                int(at),
                int(over),
                failed == "True",
                shut_down == "True",
                *(int(available) for available in later),
            )
            for name, machine, mode, at, over, failed, shut_down, *later in arrays["events"]
        ]
        action, event = arrays["actions"].astype(object)[arrays["action"]], arrays["event"]
        windows, step = Windows.from_arrays(arrays, "rows"), int(arrays["extent"][0])
        more = _assumed(np.asarray(action != CONTINUE, bool), event, known, step)
        more |= {name: arrays[name] for name in more if name in arrays}
        rows = Labelled(windows, action, arrays["hours"], arrays["weight"], event, **more)
        ahead = Ahead(
            Windows.from_arrays(arrays, "ahead"),
            *(arrays[f"ahead.{name}"] for name in ("hours", "clear", "event", "weight")),
        )
        step, since, until, read_rows = (int(value) for value in arrays["extent"])
        return cls(rows, step, since, until, read_rows, known, ahead)


def pinned(
    connection: psycopg.Connection, moment: datetime, policy: Policy, until: datetime | None = None
) -> tuple[Sample, watermark.Range]:
    """`draw` on one snapshot, and which: counts, labels and features are of the same state of the warehouse.

    `connection` is in autocommit; the transaction ends with the read, for a fit of minutes must not hold vacuum up.
    """
    connection.isolation_level, connection.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
    try:
        with connection.transaction():
            return draw(connection, moment, policy, until), watermark.pin(connection, "train")
    finally:
        connection.isolation_level, connection.read_only = None, None


def draw(connection: psycopg.Connection, moment: datetime, policy: Policy, until: datetime | None = None) -> Sample:
    """Read and label the training rows as of `moment`; windows up to `until` where an earlier draw ended there, for the
    mart is a minute behind a plant that runs and has more of `moment` by now."""
    features.require_mart(connection)
    features.require_mart(connection, features.TRAINING_SET, ("equipment_id", "window_end", "over_gap", "available_at"))
    until = until or moment
    counted = connection.execute(EXTENT, {"moment": until}).fetchone()
    if counted is None or not counted[0]:
        raise ModelError(
            f"{features.MART} has no rows up to {moment:%Y-%m-%d %H:%M} UTC: land readings, then transform"
        )
    total, of_grid, first, last = counted
    grid, every = thinning(total, of_grid, policy.max_normal_rows)
    step = grid * every
    parameters = {"moment": until, "grace": timedelta(minutes=policy.grace_minutes)}
    known, answers = events(connection, moment), judgments(connection, moment)
    evenly = f"FROM marts.ml_training_set AS g WHERE {_USABLE} AND {sql_evenly(grid, every)}"
    thinned = features.read(connection, evenly, parameters)
    failing = [(e.equipment_id, e.at - int(policy.positive_hours * HOUR), e.at) for e in known]
    stretches = failing + [(a.equipment_id, a.since, a.until) for a in answers]
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
    windows, of_thinned = _distinct(thinned, near)
    minutes, asked = _stands_for(windows, stretches, step), ~of_thinned
    for rows_within in _within(windows, failing):
        asked[rows_within] = False
    rows = label(windows, known, answers, policy, micros(moment), minutes, asked)
    ahead = label_ahead(windows, known, minutes, micros(last))
    return Sample(rows, step, micros(first), micros(last), len(windows), known, ahead)


def _assumed(
    positive: NDArray[np.bool_], event: NDArray[np.int64], events: list[Event], step: int
) -> dict[str, NDArray[Any]]:
    """Of `Labelled`, by name, what samples once didn't keep: every normal row stood for `step` minutes, and labels were
    known at once."""
    at = np.array([e.at for e in events] + [0], np.int64)
    return {
        "minutes": np.where(positive, 1.0, float(step)), "asked": np.zeros(len(event), bool), "known": at[event],
    }  # fmt: skip


def _distinct(first: Windows, second: Windows) -> tuple[Windows, NDArray[np.bool_]]:
    """Both, each (machine, end) once, ordered by time and machine; and which of them `first` has."""
    equipment = np.concatenate([first.equipment, second.equipment])
    ends = np.concatenate([first.ends, second.ends])
    both = Windows(equipment, ends, np.concatenate([first.over_gap, second.over_gap]), np.vstack([first.x, second.x]))
    _, machine = np.unique(equipment.astype(str), return_inverse=True)
    order = np.lexsort((machine, ends))
    keep = np.ones(len(order), bool)
    keep[1:] = (np.diff(ends[order]) != 0) | (np.diff(machine[order]) != 0)
    return both.take(order[keep]), order[keep] < len(first)


def _within(windows: Windows, stretches: list[Stretch]) -> Iterator[NDArray[np.int64]]:
    """The rows within each of `stretches`."""
    rows_of = {name: np.flatnonzero(windows.equipment == name) for name in set(windows.equipment)}
    for machine, since, until in stretches:
        rows = rows_of.get(machine, np.empty(0, np.int64))
        yield rows[(windows.ends[rows] > since) & (windows.ends[rows] <= until)]


def _stands_for(windows: Windows, stretches: list[Stretch], step: int) -> NDArray[np.float64]:
    """How many minutes each row stands for: one where all of them were taken, else the step of the thinning.

    An answer may be older than what the mart has whole: there the grid's minutes are all that could be taken.
    """
    weight = np.full(len(windows), float(step))
    for rows in _within(windows, stretches):
        whole = not on_grid(windows.ends[rows]).all()
        weight[rows] = np.minimum(weight[rows], 1 if whole else GRID_MINUTES)
    return weight


def split_ahead(sample: Sample, policy: Policy) -> tuple[Ahead, Ahead, NDArray[np.float64]]:
    """Rows to learn horizons from, rows to judge them on, and the edges (k,) in hours that the past allows.

    A training row's farthest horizon is over when the held-out time begins, so no failure after the split is in it;
    a held-out one's when the sample ends. Windows before a failure that was recorded after the split teach nothing.
    """
    border = split_at(sample, policy)
    edges = reach((border - sample.since) / HOUR)
    farthest = float(edges[-1]) if len(edges) else 0.0
    early = sample.ahead.between(sample.since - 1, border, farthest)
    known = np.array([event.known for event in sample.events] + [0])
    early = early.take(np.flatnonzero((known[early.event] <= border) | (early.hours > farthest)))
    return early, sample.ahead.between(border, sample.until, farthest), edges


def split_at(sample: Sample, policy: Policy) -> int:
    """Where the held-out time begins, in microseconds: the last share of the rows' time, at most so many days."""
    span = sample.until - sample.since
    return sample.until - int(min(span * policy.held_out_share, policy.held_out_days * 24 * HOUR))


def split(sample: Sample, policy: Policy) -> tuple[Labelled, Labelled]:
    """Training rows before the split, held-out rows after it.

    A fault that was recorded, or an answer or outcome that came, after the split is in neither's positives before it:
    nobody knew then. What later failures made doubtful stays out of the normal rows on both sides, which removes rows
    and labels none.
    """
    return divide(sample.rows, split_at(sample, policy))


def divide(rows: Labelled, border: int) -> tuple[Labelled, Labelled]:
    """`rows` as they could have been learnt from at `border` (microseconds), and those that end after it.

    Where a rejection came later, what the thinning drew of it is a normal row as any other, and the rest isn't there.
    """
    early, told = rows.windows.ends <= border, rows.known <= border
    learnt = rows.take(np.flatnonzero(early & (told | ~(rows.positive | rows.asked))))
    learnt = replace(learnt, weight=np.where(learnt.known <= border, learnt.weight, 1.0))
    return learnt, rows.take(np.flatnonzero(~early))
