"""How far a figure could be off by chance where neighbours say the same: redrawn blocks, independent days."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DAY = 86_400_000_000


def blocks(equipment: NDArray[Any], ends: NDArray[np.int64], length: int = DAY) -> NDArray[np.int64]:
    """The block (n,) of each window: its machine and its stretch of `length` microseconds, numbered from 0."""
    keys = np.char.add(equipment.astype(np.str_), np.char.add(" ", (ends // length).astype(np.str_)))
    return np.asarray(np.unique(keys, return_inverse=True)[1], np.int64)


def interval(
    statistic: Callable[[NDArray[np.float64]], float],
    block: NDArray[np.int64],
    *,
    level: float = 0.9,
    draws: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """The central `level` interval of `statistic` when whole blocks are drawn with replacement.

    `statistic` takes weights (n,): how often each window was drawn. Both ends are NaN where no draw gives a number.
    """
    count = int(block.max()) + 1 if len(block) else 0
    if count == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    drawn = np.array(
        [
            statistic(np.bincount(random.integers(0, count, count), minlength=count)[block].astype(float))
            for _ in range(draws)
        ]
    )
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def effective(days: NDArray[np.float64]) -> float:
    """How many independent days tell as much as `days` (n,), of which each resembles the one before: n (1 − ρ)/(1 + ρ).

    ρ is the correlation of one day with the next; that is the mean's variance of a first-order autoregression
    (G. V. Bayley and J. M. Hammersley, Suppl. J. R. Stat. Soc. 8 (1946)). At least 2, where a spread has a meaning.
    """
    if len(days) < 3 or np.ptp(days) == 0:
        return float(len(days))
    away = days - days.mean()
    alike = max(0.0, float(away[1:] @ away[:-1] / (away @ away)))
    return max(2.0, len(days) * (1 - alike) / (1 + alike))
