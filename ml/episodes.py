"""Runs of windows above a threshold as episodes: what an operator would have been called for, once each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MINUTE = 60_000_000
# Windows of one machine raised within this long of each other are one episode: the longest window of a feature.
MERGE_MINUTES = 60


@dataclass(frozen=True)
class Episodes:
    """One entry an episode, ordered by machine and time."""

    equipment: NDArray[Any]  # (k,) str
    start: NDArray[np.int64]  # (k,) end of its first raised window, microseconds since 1970
    end: NDArray[np.int64]  # (k,) end of its last one
    windows: NDArray[np.int64]  # (k,) how many were raised

    def __len__(self) -> int:
        return len(self.start)


def episodes(
    equipment: NDArray[Any], ends: NDArray[np.int64], raised: NDArray[np.bool_], merge_minutes: float = MERGE_MINUTES
) -> Episodes:
    """Episodes of the `raised` windows (n,) of machines `equipment` (n,) at `ends` (n,) microseconds, in any order."""
    machines, times = equipment[raised].astype(np.str_), ends[raised]
    order = np.lexsort((times, machines))
    machines, times = machines[order], times[order]
    new = np.ones(len(times), bool)
    new[1:] = (machines[1:] != machines[:-1]) | (np.diff(times) > merge_minutes * MINUTE)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(times))[: len(first)] - 1
    return Episodes(machines[first], times[first], times[last], last - first + 1)


def machine_weeks(equipment: NDArray[Any], step_minutes: float = 1.0) -> float:
    """How many machine-weeks windows (n,) cover, each standing for `step_minutes` of its machine's running time."""
    return len(equipment) * step_minutes / (7 * 24 * 60)
