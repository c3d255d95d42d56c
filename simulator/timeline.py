"""A past, lived through from beginning to end: the physics stepped along the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ingest.plant import Plant
from simulator.machines import Floats, Machines, machines, stream
from simulator.noise import DAY_S
from simulator.past import Past, make_past
from simulator.physics import Physics
from simulator.schedule import RUNNING, Schedule, states, targets

MINUTE = 60.0
_WARM_UP = 6 * 3600.0  # longer than any memory of the physics
_PIECE = 7200  # one-second steps are made this many at a time, to keep memory small


@dataclass(frozen=True)
class Stretch:
    """Values of all analog tags: `times` (n,) seconds since 1970, `values` (n, channels), `step_s` apart."""

    times: Floats
    values: Floats
    step_s: float

    def minute_means(self) -> Stretch:
        if self.step_s == MINUTE:
            return self
        per_minute = int(MINUTE / self.step_s)
        whole = len(self.times) // per_minute * per_minute
        means = self.values[:whole].reshape(-1, per_minute, self.values.shape[1]).mean(axis=1)
        return Stretch(self.times[:whole:per_minute], means, MINUTE)


class Timeline:
    """Steps forward only; the plant's past and its machines stand beside it."""

    def __init__(self, plant: Plant, seed: int, first: float, until: float) -> None:
        self.plant = plant
        self.first, self.until = first, until
        self.machines: Machines = machines(plant, seed)
        self.past: Past = make_past(self.machines, Schedule(plant, seed), seed, first, until)
        self._seed = seed
        self._physics = Physics(self.machines, seed)
        self._slots = Schedule(plant, seed).slots(first - _WARM_UP, until)
        self._stops = self.past.stops
        self._state = self._physics.standing(first - _WARM_UP)
        self._step(np.arange(first - _WARM_UP, first, MINUTE), MINUTE)

    def day(self, starts: float, ends: float, fine_from: float) -> list[Stretch]:
        """The next stretch of time, at a minute's step before `fine_from` and at a second's after it."""
        found = []
        if starts < fine_from:
            times = np.arange(starts, min(ends, fine_from), MINUTE)
            found.append(Stretch(times, self._step(times, MINUTE), MINUTE))
        if ends > fine_from:
            times = np.arange(max(starts, fine_from), ends, 1.0)
            pieces = [self._step(times[i : i + _PIECE], 1.0) for i in range(0, len(times), _PIECE)]
            found.append(Stretch(times, np.concatenate(pieces), 1.0))
        return found

    def asked(self, times: Floats) -> Floats:
        """The share of full load asked for, (n, machines)."""
        return targets(self._slots, times, self.machines.count)

    def said(self, times: Floats) -> np.ndarray:
        """What the state tags say, (n, machines)."""
        return states(self._stops, times, self.machines.count)

    def _step(self, times: Floats, step_s: float) -> Floats:
        return self._physics.advance(
            self._state,
            times,
            step_s,
            self.asked(times),
            (self.said(times) == RUNNING).astype(float),
            self.past.faults,
            stream(self._seed, "white", int(times[0])),
            minute_means=step_s == MINUTE,
        )


def days(first: float, until: float) -> list[tuple[float, float]]:
    """The UTC days of [first, until), cut at its ends."""
    cuts = [first, *np.arange((first // DAY_S + 1) * DAY_S, until, DAY_S).tolist(), until]
    return [(a, b) for a, b in pairwise(cuts) if b > a]
