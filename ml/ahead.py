"""What lay ahead of every window: the rows that horizons are learnt from and judged on.

Beside `ml.labels`, from the same events: there a window is a fault where it shows one, here it is whatever came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.features import Windows
from ml.labels import HOUR, SENSOR_MODES, Event


@dataclass(frozen=True)
class Ahead:
    """Every window that was read, with the machine's next failure: the rows that horizons learn from or are judged on.

    Unlike `Labelled`, nothing is left out for showing no signs: the share of windows that fail is what is learnt.
    """

    windows: Windows
    hours: NDArray[np.float64]  # (n,) to the next failure known, inf where none is
    clear: NDArray[np.float64]  # (n,) hours for which it is known what would have come, inf where nothing interfered
    event: NDArray[np.int64]  # (n,) index of that failure, −1 where none
    weight: NDArray[np.float64]  # (n,) windows that the row stands for

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, rows: NDArray[Any]) -> Ahead:
        """The rows of a mask or an index array."""
        return replace(
            self, windows=self.windows.take(rows), hours=self.hours[rows], clear=self.clear[rows],
            event=self.event[rows], weight=self.weight[rows],
        )  # fmt: skip

    def between(self, since: int, until: int, horizon_h: float) -> Ahead:
        """The windows after `since` whose next `horizon_h` hours are over at `until` (both in microseconds).

        Windows whose future isn't over are censored, not negative; those that did fail already are left out with them,
        or the newest windows would hold failures alone. So are windows whose failure somebody prevented.
        """
        ends = self.windows.ends
        seen = (ends > since) & (ends + int(horizon_h * HOUR) <= until)
        return self.take(np.flatnonzero(seen & ((self.hours <= self.clear) | (self.clear > horizon_h))))


def label_ahead(windows: Windows, known: list[Event], weight: NDArray[np.float64], known_until: int) -> Ahead:
    """The next failure of each of `windows` by `known` events up to `known_until`; rows under repair are dropped.

    A sensor that fails stops no machine and is no failure. A fault that a work order caught was going to be one, nobody
    knows when: the windows before it know nothing beyond it.
    """
    count = len(windows)
    hours, clear = np.full(count, np.inf), np.full(count, np.inf)
    event, repaired = np.full(count, -1), np.zeros(count, bool)
    rows_of = {name: np.flatnonzero(windows.equipment == name) for name in set(windows.equipment)}
    for index, item in enumerate(known):
        rows = rows_of.get(item.equipment_id)
        if rows is None or item.at > known_until or item.mode in SENSOR_MODES:
            continue
        ends = windows.ends[rows]
        repaired[rows[(ends > item.at) & (ends <= item.over)]] = True
        before = rows[ends <= item.at]
        left = (item.at - windows.ends[before]) / HOUR
        if item.failed:
            nearer = left < hours[before]
            hours[before[nearer]], event[before[nearer]] = left[nearer], index
        else:
            clear[before] = np.minimum(clear[before], left)
    return Ahead(windows, hours, clear, event, weight).take(np.flatnonzero(~repaired))
