"""Rows of a time series seen with a memory: their recent mean, against a level that may drift as it did. numpy.

One second of a sensor is mostly noise. A fault moves the mean of many; so does a rig that warms up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Parts of the training time whose means say how fast a channel's level moves.
_PARTS = 4
# How many of its greatest moves between two parts a level may be off later without being strange.
_MOVES = 2.0


@dataclass(frozen=True)
class Memory:
    """Fitted on c channels. `half_life` is in rows; `speed` (c,) is the most that a level moves a row."""

    half_life: float
    speed: NDArray[np.float64]  # (c,)
    centre: NDArray[np.float64]  # (c,) mean of the training time
    level: NDArray[np.float64]  # (c,) at its end
    gain: NDArray[np.float64]  # (c,) how much closer a recent mean is looked at than a single row, 1 or more

    @classmethod
    def fit(cls, x: NDArray[np.float64], half_life: float, *, drift: bool) -> Memory:
        """Fit on `x` (n, c), finite, in order of time.

        With `drift` a level may move as fast as it did at most between the means of neighbouring quarters of the
        training time; without it levels stay at their training means. A channel whose level hardly moved is looked at
        more closely: its recent mean is known to within its own noise and twice that greatest move, not to within the
        spread of single rows.
        """
        centre, still = x.mean(axis=0), np.zeros(x.shape[1])
        if len(x) < _PARTS:
            return cls(half_life, still, centre, centre, still + 1.0)
        means = np.array([part.mean(axis=0) for part in np.array_split(x, _PARTS)])
        move = np.abs(np.diff(means, axis=0)).max(axis=0)
        speed = move / (len(x) / _PARTS)
        recent = _recent(x, means[0], half_life)
        followed = _follow(recent, means[0], speed)
        known = np.sqrt((recent - followed).var(axis=0) + (_MOVES * move) ** 2)
        gain = np.maximum(x.std(axis=0) / np.where(known > 0, known, 1.0), 1.0)
        return cls(half_life, speed if drift else still, centre, followed[-1] if drift else centre, gain)

    def views(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the recent mean of `x` (n, c), which follows the training time, is off its level, by `gain`; (n, c).

        It begins as normal: at the level that training ended with.
        """
        recent = _recent(x, self.level, self.half_life)
        level = _follow(recent, self.level, self.speed) if self.speed.any() else self.level
        return np.asarray((recent - level) * self.gain)

    def arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """As arrays for an `.npz`, keyed by `name`."""
        return {f"{name}.{key}": np.asarray(value) for key, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]], name: str) -> Memory:
        """The inverse of `arrays`."""
        channels = (arrays[f"{name}.{key}"] for key in ("speed", "centre", "level", "gain"))
        return cls(float(arrays[f"{name}.half_life"]), *channels)


def _recent(x: NDArray[np.float64], start: NDArray[np.float64], half_life: float) -> NDArray[np.float64]:
    """The exponentially weighted mean of `x` (n, c) at each row, `start` (c,) before the first."""
    decay = 0.5 ** (1.0 / half_life)
    recent, last = np.empty_like(x), np.asarray(start, float)
    for row, value in enumerate(x):
        last = decay * last + (1.0 - decay) * value
        recent[row] = last
    return recent


def _follow(x: NDArray[np.float64], start: NDArray[np.float64], speed: NDArray[np.float64]) -> NDArray[np.float64]:
    """A level (n, c) that goes after `x` (n, c) from `start` (c,), at most `speed` (c,) a row."""
    followed, level = np.empty_like(x), np.asarray(start, float)
    for row, value in enumerate(x):
        level = level + np.minimum(np.maximum(value - level, -speed), speed)
        followed[row] = level
    return followed
