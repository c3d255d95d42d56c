"""Whether and when a machine will fail: probabilities within 24 h, 72 h and 7 days, and hours to failure.

A forest over classes of time to failure (within 1 h, 3 h, … 7 days, later) is a discrete-time hazard model: its shares
add up to P(failure within t), which rises with t by construction. `ml.hazard` fits it; this walks it with numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.features import FEATURES, HISTORY, MEASUREMENTS
from ml.trees import Trees

EDGES = (1.0, 3.0, 6.0, 12.0, 24.0, 48.0, 72.0, 168.0)  # hours
# A plant with less past than this many times a horizon has too few ends of it to learn from.
PAST_NEEDED = 3.0
INTERVAL = (0.1, 0.5, 0.9)
# Where failure is likelier than not, or a known fault shows, there are hours to tell.
LIKELY = 0.5
_SENSED = [FEATURES.index(f"{m}_{what}") for what in ("deviation_5m", "deviation_60m") for m in MEASUREMENTS]
_SENSED += [FEATURES.index(f"{m}_z_score_24h") for m in MEASUREMENTS]
_HISTORY = [FEATURES.index(name) for name in HISTORY]
INPUTS = tuple(FEATURES[index] for index in (*_SENSED, *_HISTORY))
_CLIP = 50.0
UNKNOWN = -1.0
# Raw probabilities at which the calibrated ones are kept; dense where base rates are.
GRID = np.concatenate([[0.0], np.logspace(-4, 0, 121)])


def inputs(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the forest sees of `x` (n, len(FEATURES)): (n, len(INPUTS)), missing readings at their normal."""
    sensed = np.nan_to_num(np.clip(x[:, _SENSED], -_CLIP, _CLIP), nan=0.0)
    return np.hstack([sensed, np.nan_to_num(x[:, _HISTORY], nan=UNKNOWN)])


def reach(span_h: float) -> NDArray[np.float64]:
    """The edges (k,) that a past of `span_h` hours lets one learn; the last one is how far ahead a model looks."""
    return np.array([edge for edge in EDGES if PAST_NEEDED * edge <= span_h])


@dataclass(frozen=True)
class Outlook:
    """One entry a window; NaN where the model doesn't look that far."""

    soonest: NDArray[np.float64]  # P(failure within the first edge, an hour)
    failure_24h: NDArray[np.float64]
    failure_72h: NDArray[np.float64]
    failure_7d: NDArray[np.float64]
    any: NDArray[np.float64]  # P(failure within the farthest horizon that the model knows)
    hours: NDArray[np.float64]  # (n, 3) 10 %, 50 % and 90 % quantiles of the time to it, given that it comes within it


@dataclass(frozen=True)
class Horizons:
    """Fitted arrays: a forest whose leaves hold cumulative shares (k,), and what they mean (k, len(GRID))."""

    edges: NDArray[np.float64]  # (k,) hours
    forest: Trees
    calibration: NDArray[np.float64]

    def outlook(self, x: NDArray[np.float64]) -> Outlook:
        """What lies ahead of `x` (n, len(FEATURES)).

        When is asked of the forest as it is, whether of what it is worth: a curve a horizon says how far the forest is
        to be believed that a failure comes, and with a handful of failures flattens all of them, so that between two
        such curves a machine in its last hour had days.
        """
        raw = self.forest.mean(inputs(x))
        within = apply(self.calibration, raw)

        def at(hours: float) -> NDArray[np.float64]:
            found = np.flatnonzero(self.edges == hours)
            return within[:, found[0]] if len(found) else np.full(len(x), np.nan)

        times = quantiles(self.edges, np.where(raw[:, -1:] > 0, raw, within), INTERVAL)
        return Outlook(within[:, 0], at(24.0), at(72.0), at(168.0), within[:, -1], times)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """As arrays for an `.npz`, keyed by `name`."""
        own = {f"{name}.edges": self.edges, f"{name}.calibration": self.calibration}
        return own | self.forest.arrays(f"{name}.forest")

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], name: str) -> Horizons:
        """The inverse of `arrays`."""
        forest = Trees.from_arrays(arrays, f"{name}.forest")
        return cls(arrays[f"{name}.edges"], forest, arrays[f"{name}.calibration"])


def apply(calibration: NDArray[np.float64], raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """`raw` (n, k) through one curve a column over GRID, made to rise along k again where the curves cross."""
    calibrated = np.column_stack([np.interp(raw[:, i], GRID, curve) for i, curve in enumerate(calibration)])
    return np.asarray(np.maximum.accumulate(calibrated, axis=1))


def quantiles(
    edges: NDArray[np.float64], within: NDArray[np.float64], shares: tuple[float, ...]
) -> NDArray[np.float64]:
    """Hours (n, len(shares)) by which that share of P(failure within the last edge) is reached.

    `within` (n, k) are cumulative; between two edges the failures are taken as evenly spread.
    """
    times = np.concatenate([[0.0], edges])
    reached = np.hstack([np.zeros((len(within), 1)), within])
    found = np.empty((len(within), len(shares)))
    rows = np.arange(len(within))
    for column, share in enumerate(shares):
        target = share * within[:, -1]
        upper = np.clip((within < target[:, None]).sum(axis=1) + 1, 1, len(edges))
        low, high = reached[rows, upper - 1], reached[rows, upper]
        part = np.clip((target - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
        found[:, column] = times[upper - 1] + part * (times[upper] - times[upper - 1])
    return found
