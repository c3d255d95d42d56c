"""Evidence that may be looked at every day: e-values by betting, and an interval for a share that holds at all times.

A test by fixed sample size is wrong more often than it says once one looks until it agrees. An e-value is what a
gambler who starts with 1 has made by betting against a claim at fair odds; while the claim is true, the chance that the
stake ever reaches 1/α is at most α (Ville 1939), however often one looks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma, log, log1p

import numpy as np
from numpy.typing import NDArray

# Shares of the largest bet that can't ruin: small ones find small effects in the end, large ones large effects soon.
# Bets that don't depend on the past make the stake indifferent to the order in which observations become known.
BETS = (0.1, 0.3, 0.9)


def evidence(values: NDArray[np.float64], lowest: float) -> NDArray[np.float64]:
    """The stake (…, n) after each of `values` (…, n), none below `lowest` < 0, bet on their mean being above 0.

    An e-process against "the mean is at most 0", given what came before: the mixture over BETS of the products of
    1 + λ·value (Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024,
    section 4). Raises ValueError for a `lowest` that bounds nothing.
    """
    if lowest >= 0 or (len(values) and float(np.min(values)) < lowest - 1e-9):
        raise ValueError(f"values must not be below lowest, which is negative. Got: {lowest}")
    stakes = [np.cumsum(np.log1p(bet / -lowest * values), axis=-1) for bet in BETS]
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(np.logaddexp.reduce(stakes, axis=0) - log(len(BETS))))


def not_worse(differences: NDArray[np.float64], margin: float) -> float:
    """Evidence that candidate minus champion, of differences (n,) in [−1, 1], is on average above −`margin`."""
    return float(evidence(differences + margin, margin - 1)[-1]) if len(differences) else 1.0


def worse(differences: NDArray[np.float64], margin: float) -> float:
    """Evidence that candidate minus champion, of differences (n,) in [−1, 1], is on average below −`margin`."""
    return float(evidence(-differences - margin, -margin - 1)[-1]) if len(differences) else 1.0


def share(hits: int, misses: int, error: float) -> tuple[float, float]:
    """An interval for the share of hits that holds at all times at once, but for a chance of `error`.

    All p at which a Beta(½, ½) mixture of likelihoods hasn't made 1/error against p (Robbins, "Statistical methods
    related to the law of the iterated logarithm", Ann. Math. Stat. 41, 1970).
    """
    mixture = lgamma(hits + 0.5) + lgamma(misses + 0.5) - lgamma(hits + misses + 1) - 2 * lgamma(0.5)

    def kept(p: float) -> bool:
        likelihood = (hits * log(p) if hits else 0.0) + (misses * log1p(-p) if misses else 0.0)
        return mixture - likelihood < -log(error)

    middle = hits / (hits + misses) if hits + misses else 0.5
    return _edge(kept, middle, 0.0), _edge(kept, middle, 1.0)


def _edge(kept: Callable[[float], bool], inside: float, outside: float) -> float:
    for _ in range(40):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if kept(min(max(middle, 1e-12), 1 - 1e-12)) else (inside, middle)
    return outside
