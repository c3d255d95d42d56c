"""Hits and false alarms, and the rates that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """Of things that are anomalous or not: how many of each, and how many of each were flagged."""

    anomalous: int = 0
    hits: int = 0
    normal: int = 0
    false: int = 0

    @classmethod
    def of(cls, flagged: NDArray[np.bool_], anomalous: NDArray[np.bool_]) -> Counts:
        """From what was flagged (n,) and what should have been (n,)."""
        return cls(
            int(anomalous.sum()),
            int((flagged & anomalous).sum()),
            int((~anomalous).sum()),
            int((flagged & ~anomalous).sum()),
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.anomalous + other.anomalous,
            self.hits + other.hits,
            self.normal + other.normal,
            self.false + other.false,
        )

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None where there is nothing anomalous to find."""
        if not self.anomalous:
            return None
        return 2 * self.hits / (self.hits + self.false + self.anomalous)

    @property
    def far_percent(self) -> float | None:
        """False alarm rate: the share of what is normal that was flagged."""
        return 100 * self.false / self.normal if self.normal else None

    @property
    def mar_percent(self) -> float | None:
        """Missed alarm rate: the share of what is anomalous that was not flagged."""
        return 100 * (1 - self.hits / self.anomalous) if self.anomalous else None

    def figures(self) -> dict[str, Any]:
        """F1 with the two rates that it says nothing about."""
        return {"F1": self.f1, "FAR %": self.far_percent, "MAR %": self.mar_percent}


def pooled(counts: list[Counts]) -> Counts:
    """One count over all: files weigh by their length, as on SKAB's leaderboard."""
    return sum(counts, Counts())
