"""Whether a machine's readings drifted because a sensor did or because the machine's work changed.

A sensor that loses its calibration leaves what the machine's other sensors and the load say, and they go on agreeing
with each other. A change of the process moves several at once: along the lines on which they always move together (then
nothing leaves what the others say), or off them. So each measurement is predicted from the others by a ridge regression
on the training rows (the reconstruction of R. Dunia and S. J. Qin, AIChE J. 44 (1998), and of C. F. Alcala and
S. J. Qin, Automatica 45 (2009), in its regression form), and a suspect is left out of the others' predictions, or its
error would make them look wrong as well.

One thing can't be seen from a distance: a fault that shows in one measurement alone looks like its sensor. Upwards that
is temperature (lost cooling) and vibration (a bearing's first wear); there it takes another position of the same
measurement to say which, and without one it is `unclear`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bootstrap import effective
from ml.drift.reference import CHANNELS, Profile

SENSOR, PROCESS, UNCLEAR = "sensor", "process", "unclear"
LOAD = "load_ratio"
# What a fault of the machine raises before it shows anywhere else.
RISES_ALONE = {"temperature": "lost cooling", "vibration": "a bearing's first wear"}
RIDGE = 0.05
# A shift of less than half the machine's own spread is no matter, however sure it is.
LEAST_SHIFT = 0.5
# Beyond this share of days a measurement no longer counts as staying where it was: not to have moved for certain isn't
# to have stayed.
STAYS = 0.01
# Of two positions of a measurement, in spreads of their own baselines.
APART = 1.0


@dataclass(frozen=True)
class Position:
    """One of a machine's sensors, and how far its day's mean was from its baseline (spreads; None if not known)."""

    tag_id: int
    name: str
    deviation: float | None = None
    place: str = ""


@dataclass(frozen=True)
class Attribution:
    """What moved on a machine and by what: `origin` is sensor, process or unclear.

    `measurements` are the suspects, `tag_ids` the sensors meant.
    """

    equipment_id: str
    origin: str
    measurements: tuple[str, ...]
    tag_ids: tuple[int, ...]
    words: str


@dataclass(frozen=True)
class Shift:
    """How far a day's mean is from the training days' in units of the feature's spread; `spread` is between days.

    `days` are the independent ones that the training's are worth.
    """

    value: float
    spread: float
    days: float


class Machine:
    """A machine's day beside its training days."""

    def __init__(self, profiles: Mapping[str, Profile], today: Mapping[str, float], min_days: int) -> None:
        """`profiles` and `today` (means of the day) by feature; what lacks days, covariances or a mean is left out."""
        order = [name for name in CHANNELS if name in profiles and len(profiles[name].covariances)]
        kept = [
            name
            for name in order
            if np.isfinite(today.get(name, np.nan)) and np.isfinite(profiles[name].day_means).sum() >= min_days
        ]
        # Without a mean today: a dead sensor, or a load at which nothing is known to be normal.
        self.absent = [name for name in order if name != LOAD and not np.isfinite(today.get(name, np.nan))]
        at = [order.index(name) for name in kept]
        self.names = kept
        self._scale = np.array([profiles[name].spread for name in kept])
        self._days = np.array([profiles[name].day_means for name in kept]).T  # (days, channels)
        self._today = np.array([today[name] for name in kept])
        self._covariance = np.array([profiles[name].covariances[at] for name in kept])

    @property
    def measured(self) -> list[str]:
        """The channels that are measurements."""
        return [name for name in self.names if name != LOAD]

    def shift(self, name: str) -> Shift:
        """Of the channel itself."""
        return self._shift(self.names.index(name), [])

    def residual(self, name: str, without: str | None = None) -> Shift:
        """Of what is left of the channel when the others, but for `without`, have said what they can."""
        index = self.names.index(name)
        return self._shift(index, [i for i, other in enumerate(self.names) if other not in (name, without)])

    def _shift(self, index: int, others: list[int]) -> Shift:
        weights = self._weights(index, others)
        past = self._days[:, index] - self._days[:, others] @ weights
        past = past[np.isfinite(past)]
        if len(past) < 2:
            return Shift(0.0, np.inf, 2.0)
        today = self._today[index] - self._today[others] @ weights
        scale = self._scale[index]
        return Shift(float((today - past.mean()) / scale), float(np.std(past, ddof=1) / scale), effective(past))

    def _weights(self, index: int, others: list[int]) -> NDArray[np.float64]:
        if not others:
            return np.empty(0)
        own = self._covariance[np.ix_(others, others)]
        penalty = np.diag(RIDGE * np.maximum(np.diag(own), 1e-9))
        weights: NDArray[np.float64] = np.linalg.solve(own + penalty, self._covariance[others, index])
        return weights


def bound(shift: Shift, share: float) -> float:
    """What a new day's shift passes on a `share` of unchanged days: a two-sided prediction interval (Student's t)."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    quantile = float(stdtrit(shift.days - 1, 1 - share / 2))
    return quantile * shift.spread * float(np.sqrt(1 + 1 / shift.days))


def attribute(
    equipment_id: str, machine: Machine, share: float, positions: Mapping[str, list[Position]]
) -> Attribution | None:
    """What a machine's drift comes from, None where nothing moved. `share` is that of unchanged days which may pass."""

    def clear(shift: Shift) -> bool:
        return abs(shift.value) > max(bound(shift, share), LEAST_SHIFT)

    def stays(shift: Shift) -> bool:
        return abs(shift.value) <= bound(shift, max(STAYS, share))

    def quiet_without(name: str) -> bool:
        others = [other for other in machine.names if other != name]
        return all(stays(machine.shift(other)) for other in others) and all(
            stays(machine.residual(other, without=name)) for other in others if other != LOAD
        )

    moved = [name for name in machine.measured if clear(machine.shift(name))]
    broken = [name for name in machine.measured if clear(machine.residual(name))]
    load = machine.shift(LOAD) if LOAD in machine.names else None
    load_moved = load is not None and clear(load)
    suspects = [name for name in machine.measured if name in moved or name in broken]
    if not suspects and not load_moved:
        return None

    def told(origin: str, words: str, names: list[str] | None = None, tags: list[int] | None = None) -> Attribution:
        meant = [_measurement(name) for name in (suspects if names is None else names)]
        known = [position.tag_id for name in meant for position in positions.get(name, [])]
        return Attribution(equipment_id, origin, tuple(meant), tuple(known if tags is None else tags), words)

    if not suspects:
        assert load is not None
        if machine.absent:
            missing = ", ".join(_measurement(name) for name in machine.absent)
            return told(
                UNCLEAR,
                f"the load reads {_way(load)} than in training, and of {missing} nothing is known to be normal there: "
                "either the machine works differently, or the sensor that its load is known by is off",
                [LOAD],
            )
        return told(PROCESS, f"the load is {_way(load)} than in training, and every measurement is what it is at it")
    lone = [name for name in suspects if quiet_without(name)]
    if len(lone) == 1:
        name = lone[0]
        return _alone(name, machine, positions.get(_measurement(name), []), told)
    shifts = ", ".join(f"{_measurement(name)} {machine.shift(name).value:+.1f}" for name in suspects)
    # The load's own measurement goes with it.
    if load is not None and load_moved and sum(machine.shift(name).value * load.value > 0 for name in suspects) <= 1:
        return told(
            UNCLEAR,
            f"the load reads {_way(load)}, and the rest is away from what is normal at such a load ({shifts} spreads): "
            "either the machine works differently, or the sensor that its load is known by is off",
            [*suspects, LOAD],
        )
    if not broken:
        return told(PROCESS, f"they moved together, as they do when the work changes ({shifts} spreads)")
    if len(suspects) > 1:
        return told(PROCESS, f"several measurements left their normal at once ({shifts} spreads)")
    return told(
        UNCLEAR, f"it moved most ({shifts} spreads), but the others didn't stay quite where they were", suspects
    )


def _alone(
    name: str,
    machine: Machine,
    positions: list[Position],
    told: Callable[[str, str, list[str], list[int]], Attribution],
) -> Attribution:
    """One measurement left what the others say, and they stayed."""
    measurement = _measurement(name)
    value = machine.residual(name).value
    tags = [position.tag_id for position in positions]
    said = f"{measurement} alone is {value:+.1f} spreads from what the machine's other sensors say, which stayed"
    apart = _apart(positions)
    if apart is not None:
        words = f"the sensor at {apart.place or 'one position'} left the other positions of {measurement}"
        return told(SENSOR, f"{words} ({apart.deviation:+.1f} spreads), which stayed", [name], [apart.tag_id])
    if _together(positions):
        return told(PROCESS, f"every position of {measurement} moved alike ({value:+.1f} spreads)", [name], tags)
    if len(machine.measured) < 2:
        return told(UNCLEAR, f"{measurement} moved, and nothing else is measured to compare it with", [name], tags)
    if measurement in RISES_ALONE and value > 0:
        return told(
            UNCLEAR, f"{said}: a sensor that drifts, or {RISES_ALONE[measurement]}; measure by hand", [name], tags
        )
    return told(SENSOR, said, [name], tags)


def _apart(positions: list[Position]) -> Position | None:
    """The one position that left the others, which stayed."""
    known = sorted((p for p in positions if p.deviation is not None), key=lambda p: -abs(p.deviation or 0.0))
    if len(known) < 2:
        return None
    most, next_most = abs(known[0].deviation or 0.0), abs(known[1].deviation or 0.0)
    return known[0] if most >= APART and next_most <= APART / 2 else None


def _together(positions: list[Position]) -> bool:
    """Whether all positions moved the same way, the least at least half as far as the most."""
    known = [position.deviation for position in positions if position.deviation is not None]
    if len(known) < 2 or min(map(abs, known)) < APART / 2:
        return False
    return len(set(np.sign(known))) == 1 and min(map(abs, known)) >= max(map(abs, known)) / 2


def _measurement(channel: str) -> str:
    return channel.removesuffix("_deviation_60m")


def _way(load: Shift) -> str:
    return "higher" if load.value > 0 else "lower"
