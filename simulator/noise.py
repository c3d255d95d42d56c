"""Noise as a function of the plant's seed and the moment alone.

History and the live server ask for it at different times and at different steps; where they ask for the same moment
they get the same value, so that the one goes on where the other ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.machines import Floats, stream

DAY_S = 86_400
_MINUTES = DAY_S // 60


def lag(drive: Floats, start: Floats, decay: Floats) -> Floats:
    """The first-order lag y[k] = decay · y[k-1] + (1 - decay) · drive[k] with y[-1] = start, over axis 0.

    `drive` is (n, columns), `start` and `decay` (columns,); returns (n, columns). Solved by doubling instead of a loop:
    after pass p every row holds the sum over the 2**p rows before it.
    """
    y = (1 - decay) * drive
    y[0] += decay * start
    weight, reach = decay.copy(), 1
    while reach < len(y) and weight.max(initial=0.0) > 1e-13:
        y[reach:] += weight * y[:-reach]  # the product is a copy: the right side is the old one
        weight, reach = weight * weight, reach * 2
    return y


class SlowNoise:
    """Correlated noise of unit variance on a one-minute grid, interpolated in between; a column a name.

    A column's values depend on its name and not on what other columns there are.
    A day's values come from its own random numbers and those of the day before: after a day of at least 24 time
    constants nothing of an earlier start is left.
    """

    def __init__(self, seed: int, names: Sequence[str], tau_s: float) -> None:
        if tau_s > DAY_S / 24:
            raise ValueError("a time constant of more than an hour would be felt longer than a day")
        self._seed = seed
        self._names = tuple(names)
        self._decay = np.full(len(self._names), np.exp(-60.0 / tau_s))
        self._days: dict[int, Floats] = {}

    def at(self, times: Floats) -> Floats:
        """Values at `times` (n, seconds since 1970, rising) as (n, columns)."""
        minutes = times / 60.0
        first = int(minutes[0] // 1)
        grid = np.arange(first, int(minutes[-1] // 1) + 2)
        values = np.empty((len(grid), len(self._decay)))
        for day in range(int(grid[0] // _MINUTES), int(grid[-1] // _MINUTES) + 1):
            inside = grid // _MINUTES == day
            values[inside] = self._day(day)[grid[inside] % _MINUTES]
        whole = (minutes // 1).astype(np.int64) - first
        part = (minutes % 1)[:, None]
        return values[whole] * (1 - part) + values[whole + 1] * part

    def _day(self, day: int) -> Floats:
        if day not in self._days:
            if len(self._days) > 2:
                del self._days[min(self._days)]
            shocks = np.concatenate([self._shocks(day - 1), self._shocks(day)])
            # lag() scales its drive by (1 - decay); unit variance needs sqrt(1 - decay²).
            scaled = shocks * (np.sqrt(1 - self._decay**2) / (1 - self._decay))
            self._days[day] = lag(scaled, np.zeros(len(self._decay)), self._decay)[_MINUTES:]
        return self._days[day]

    def _shocks(self, day: int) -> Floats:
        found = np.empty((_MINUTES, len(self._names)))
        for column, name in enumerate(self._names):
            found[:, column] = stream(self._seed, "slow", name, day).standard_normal(_MINUTES)
        return found


class Waves:
    """Slow drift without memory: the sum of three sine waves of unlike periods, unit variance, a column a name."""

    def __init__(self, seed: int, names: Sequence[str], periods_s: tuple[float, float, float]) -> None:
        drawn = [stream(seed, "waves", name).uniform(size=6) for name in names]
        own = np.array(drawn).reshape(-1, 6).T
        self._omega = 2 * np.pi / np.array(periods_s)[:, None] * (0.9 + 0.2 * own[:3])
        self._phase = 2 * np.pi * own[3:]

    def at(self, times: Floats) -> Floats:
        """Values at `times` (n, seconds since 1970) as (n, columns)."""
        angle = times[:, None, None] * self._omega + self._phase
        return np.asarray(np.sin(angle).sum(axis=1) * np.sqrt(2 / 3))
