"""What windows of the past are known to have been: from CMMS failures, work orders and operators' answers.

Labels are judgments in tables of their own; they are never features. Everything is as of a moment: what the plant
could not have known then is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml.features import Windows, micros
from ml.policy import Policy
from ml.scorecard import CONTINUE, NO_PRECEDENT, SHUTDOWN, detected, detector_scale, in_spreads

ACTIONS = (
    "reduce_speed",
    "schedule_maintenance",
    "check_blockage",
    "emergency_shutdown",
    "preventive_inspection",
    "continue_operation",
)
ACTION_OF_MODE = {
    "bearing_wear": "schedule_maintenance",
    "belt_slip": "schedule_maintenance",
    "cooling_loss": "reduce_speed",
    "blockage": "check_blockage",
    "sensor_stuck": "preventive_inspection",
    "sensor_drift": "preventive_inspection",
}
# How maintainers code work that found no fault; no code at all says nothing.
NOTHING_FOUND = ("no_fault_found", "nothing_found", "none", "nff")
# Maintainers who write that they stopped the machine at once say what should have been done, whatever broke.
_SHUT_DOWN = r"emergency[ _-]?(stop|shut)"
# A sensor that fails stops no machine: there is no failure to be hours away from.
SENSOR_MODES = ("sensor_stuck", "sensor_drift")
# How far out of its normal spread a window before a failure must be to show it.
SHOWS_AT = 3.3
HOUR = 3_600_000_000
REJECTED_WEIGHT = 3.0


@dataclass(frozen=True)
class Event:
    """A failure, or a corrective work order that came before one; times in microseconds since 1970."""

    event_id: str
    equipment_id: str
    mode: str
    at: int
    over: int
    failed: bool
    shut_down: bool = False  # its work order says that it took an emergency shutdown
    available: int = 0  # when its record was there to be read

    @property
    def known(self) -> int:
        """When the plant could have known of it: not before it happened."""
        return max(self.at, self.available)

    @property
    def action(self) -> str:
        return SHUTDOWN if self.shut_down else ACTION_OF_MODE.get(self.mode, NO_PRECEDENT)


@dataclass(frozen=True)
class Judgment:
    """What an operator's answer, or what became of it, says about a stretch of a machine's time."""

    equipment_id: str
    since: int
    until: int
    label: str
    action: str | None
    judged_at: int


@dataclass(frozen=True)
class Labelled:
    """Windows with what they are known to have been; rows that nobody can be sure of are left out.

    `weight` is what a row counts for in learning, `minutes` what it counts for where a rate or a share is worked out.
    """

    windows: Windows
    action: NDArray[Any]
    hours: NDArray[np.float64]  # to the failure, NaN where none followed
    weight: NDArray[np.float64]
    event: NDArray[np.int64]  # index of the event, −1 where none
    minutes: NDArray[np.float64]  # of the machine's running time that the row stands for
    # Drawn for its answer alone. Only what a champion raised is answered, so that these rows are no fair draw of time.
    asked: NDArray[np.bool_]
    known: NDArray[np.int64]  # when the label was known, microseconds; 0 where nothing had to be told

    @property
    def positive(self) -> NDArray[np.bool_]:
        """True where a fault is known."""
        return np.asarray(self.action != CONTINUE, dtype=bool)

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, rows: NDArray[Any]) -> Labelled:
        """The rows of a mask or an index array."""
        return replace(
            self, windows=self.windows.take(rows), action=self.action[rows], hours=self.hours[rows],
            weight=self.weight[rows], event=self.event[rows], minutes=self.minutes[rows], asked=self.asked[rows],
            known=self.known[rows],
        )  # fmt: skip


def events(connection: psycopg.Connection, moment: datetime) -> list[Event]:
    """Failures, and corrective work orders that belong to none, known at `moment`.

    A record that was changed in place counts as it is now, from when it first was there.
    """
    rows = connection.execute(
        """
        SELECT f.failure_id, f.equipment_id, f.failure_mode, f.failed_at,
               coalesce(f.repaired_at, w.completed_at, f.failed_at + interval '24 hours'), true,
               coalesce(w.action_taken ~* %(shut_down)s, false), f.available_at
        FROM raw.cmms_failures AS f
        LEFT JOIN raw.cmms_work_orders AS w ON w.work_order_id = f.work_order_id AND w.available_at <= %(moment)s
        WHERE f.available_at <= %(moment)s
        UNION ALL
        SELECT w.work_order_id, w.equipment_id, coalesce(w.problem_code, ''), w.opened_at,
               coalesce(w.completed_at, w.opened_at + interval '24 hours'), false,
               coalesce(w.action_taken ~* %(shut_down)s, false), w.available_at
        FROM raw.cmms_work_orders AS w
        WHERE w.available_at <= %(moment)s AND (w.kind = 'corrective' OR w.problem_code = ANY(%(modes)s))
            AND coalesce(lower(w.problem_code), '') <> ALL(%(nothing)s)
            AND NOT EXISTS (
                SELECT FROM raw.cmms_failures AS f
                WHERE f.available_at <= %(moment)s AND (f.work_order_id = w.work_order_id
                    OR (f.equipment_id = w.equipment_id
                        AND w.opened_at >= f.failed_at - interval '24 hours'
                        AND w.opened_at <= f.failed_at + interval '24 hours'))
            )
        ORDER BY 4, 1
        """,
        {"moment": moment, "modes": list(ACTION_OF_MODE), "nothing": list(NOTHING_FOUND), "shut_down": _SHUT_DOWN},
    )
    return [
        Event(name, machine, mode, micros(at), micros(over), failed, shut_down, micros(available))
        for name, machine, mode, at, over, failed, shut_down, available in rows
    ]


def judgments(connection: psycopg.Connection, moment: datetime) -> list[Judgment]:
    """What answers and their outcomes came to, as known at `moment`; undecided ones say nothing."""
    rows = connection.execute(
        "SELECT equipment_id, from_ts, to_ts, label, action_code, judged_at FROM ml.verdicts_at(%s)"
        " WHERE label <> 'undecided' ORDER BY label_id",
        (moment,),
    )
    return [
        Judgment(machine, micros(since), micros(until), label, action, micros(judged_at))
        for machine, since, until, label, action, judged_at in rows
    ]


def label(
    windows: Windows,
    known: list[Event],
    answers: list[Judgment],
    policy: Policy,
    known_until: int,
    minutes: NDArray[np.float64],
    asked: NDArray[np.bool_],
) -> Labelled:
    """Label `windows` (n,) by `known` events and `answers`; rows in doubt are dropped.

    `minutes` (n,) and `asked` (n,) are of the draw, see `Labelled`.

    - The last `policy.positive_hours` before an event are its fault, but only where something is out of its normal
      spread: a fault whose signs don't show yet teaches nothing but noise.
    - Of two events ahead the nearer one is a window's.
    - Nothing within `policy.clear_days` before an event, or until it is over, counts as normal. The same holds around a
      recommendation that was confirmed; its fault is taken to be over a day later, as an event's that has no end.
    - The last `clear_days` before `known_until` (microseconds) do count: their failures can't be known yet.
    - An answered recommendation is what the operator said, unless an event overrules a rejection. Where those of two
      recommendations overlap, one that confirms a fault says more than one that rejects another.
    """
    count = len(windows)
    action = np.full(count, CONTINUE, dtype=object)
    hours = np.full(count, np.nan)
    weight = np.ones(count)
    event = np.full(count, -1)
    told = np.zeros(count, np.int64)
    doubtful = np.zeros(count, bool)
    fault = np.zeros(count, bool)
    rows_of = {name: np.flatnonzero(windows.equipment == name) for name in set(windows.equipment)}
    clear, positive = int(policy.clear_days * 24 * HOUR), int(policy.positive_hours * HOUR)
    # The nearest event of a window is written last.
    for index, item in reversed(list(enumerate(known))):
        rows = rows_of.get(item.equipment_id)
        if rows is None or item.at > known_until:
            continue
        ends = windows.ends[rows]
        doubtful[rows[(ends > item.at - clear) & (ends <= item.over + 2 * HOUR)]] = True
        before = rows[(ends > item.at - positive) & (ends <= item.at)]
        fault[before], action[before], event[before], told[before] = True, item.action, index, item.known
        # A fault that was caught in time says that the failure was at least as far off, not how far.
        if item.mode not in SENSOR_MODES:
            hours[before] = (item.at - windows.ends[before]) / HOUR if item.failed else np.nan
    asked_about, near = [], doubtful.copy()
    for answer in answers:
        rows = rows_of.get(answer.equipment_id, np.empty(0, np.int64))
        ends = windows.ends[rows]
        asked_about.append(rows[(ends > answer.since) & (ends <= answer.until)])
        if answer.label == "true_positive":
            near[rows[(ends > answer.until - clear) & (ends <= answer.until + (24 + 2) * HOUR)]] = True
    shows = _shows(windows, ~near, policy.commissioning_windows)
    taken = np.where(fault, shows, ~near)
    # Those that confirm come last, or what they say of a window would depend on which was given first.
    for answer, rows in sorted(zip(answers, asked_about, strict=True), key=lambda one: one[0].label == "true_positive"):
        if answer.label == "true_positive":
            rows = rows[~fault[rows]]
            action[rows] = answer.action if answer.action in ACTIONS and answer.action != CONTINUE else NO_PRECEDENT
            weight[rows], told[rows], taken[rows] = 1.0, answer.judged_at, shows[rows]
        else:
            rows = rows[~(doubtful | fault)[rows]]
            weight[rows], taken[rows] = REJECTED_WEIGHT, True
            told[rows] = np.maximum(told[rows], answer.judged_at)
    return Labelled(windows, action, hours, weight, event, minutes, asked, told).take(np.flatnonzero(taken))


def _shows(windows: Windows, normal: NDArray[np.bool_], commissioning_windows: int) -> NDArray[np.bool_]:
    """Where any detected feature lies outside its machine's normal spread; a new machine's is that of all."""
    values = detected(windows.x)
    pooled = detector_scale(windows.x[normal])
    shows = np.zeros(len(windows), bool)
    for name in set(windows.equipment):
        rows = windows.equipment == name
        own = windows.x[rows & normal]
        scale = detector_scale(own) if len(own) >= commissioning_windows else pooled
        shows[rows] = np.abs(in_spreads(values[rows], scale)).max(axis=1) > SHOWS_AT
    return shows
