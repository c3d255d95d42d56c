"""Rows of a time series seen with a memory: their recent mean, against a level that may drift as it did. numpy.

One second of a sensor is mostly noise. A fault moves the mean of many; so does a rig that warms up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Parts of the training time whose means say how fast a channel's level moves.
_PARTS = 4


@dataclass(frozen=True)
class Memory:
    """Fitted on c channels. `half_life` is in rows; `speed` (c,) is the most that a level moves a row."""

    half_life: float
    speed: NDArray[np.float64]  # (c,)
    centre: NDArray[np.float64]  # (c,) mean of the training time
    level: NDArray[np.float64]  # (c,) at its end

    @classmethod
    def fit(cls, x: NDArray[np.float64], half_life: float, *, drift: bool) -> Memory:
        """Fit on `x` (n, c), finite, in order of time.

        With `drift` a level may move as fast as it did at most between the means of neighbouring quarters of the
        training time; without it levels stay at their training means.
        """
        centre = x.mean(axis=0)
        if not drift or len(x) < _PARTS:
            return cls(half_life, np.zeros(x.shape[1]), centre, centre)
        means = np.array([part.mean(axis=0) for part in np.array_split(x, _PARTS)])
        speed = np.abs(np.diff(means, axis=0)).max(axis=0) / (len(x) / _PARTS)
        level = _follow(_recent(x, means[0], half_life), means[0], speed)[-1]
        return cls(half_life, speed, centre, level)

    def views(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the recent mean of `x` (n, c), which follows the training time, is off its level; (n, c).

        It begins as normal: at the level that training ended with.
        """
        recent = _recent(x, self.level, self.half_life)
        return recent - (_follow(recent, self.level, self.speed) if self.speed.any() else self.level)

    def arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """As arrays for an `.npz`, keyed by `name`."""
        return {f"{name}.{key}": np.asarray(value) for key, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]], name: str) -> Memory:
        """The inverse of `arrays`."""
        speed, centre, level = (arrays[f"{name}.{key}"] for key in ("speed", "centre", "level"))
        return cls(float(arrays[f"{name}.half_life"]), speed, centre, level)


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
