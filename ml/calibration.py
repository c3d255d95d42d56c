"""How far out in the tail of normal operation a value lies, and which scores that makes: bands of false-alarm episodes.

Surprise is −log10 of the share of normal time beyond a value: 4 is the 99.99th percentile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bootstrap import blocks, interval
from ml.episodes import MERGE_MINUTES, MINUTE, episodes, machine_weeks

CEILING = 8.0
WEEK_MINUTES = 7 * 24 * 60
# A tail that ends is not believed: a hundred excesses of a normal distribution already look like one, and a surprise
# taken too high is a false alarm. A shape beyond 0.5 has no variance.
SHAPES = (0.0, 0.5)
BAND_SCORES = (0.5, 0.7, 0.9)
# Operators are called from the second band on; what a model is worth is judged there.
ALERT_THRESHOLD = BAND_SCORES[1]
# Raised rows that say how long an episode lasts.
_CLUSTER_ROWS = 50
# Where the lift of what no label describes begins, in tenfold steps below the 99.99th percentile.
_RAMP = 0.4
_EXACT = 1e-9
# The surprises for which a machine's own are kept.
SURPRISES = np.linspace(0.0, CEILING, 81)
# The two-sided tail of a normal distribution, as far as CEILING.
_SPREADS = np.linspace(0.0, 6.0, 241)
_NORMAL = np.minimum([-math.log10(math.erfc(spread / math.sqrt(2))) for spread in _SPREADS], CEILING)


class Tail:
    """The upper tail of a sample: empirical as far as the sample carries, generalised Pareto beyond.

    `knots` are values, `surprise` is −log10 P(normal > knot); both (k,), rising. `scale` and `shape` are the Pareto's,
    from the last knot on.
    """

    def __init__(
        self, knots: NDArray[np.float64], surprise: NDArray[np.float64], scale: float, shape: float = 0.0
    ) -> None:
        self.knots = knots
        self.surprise = surprise
        self.scale = scale
        self.shape = shape

    @classmethod
    def fit(cls, values: NDArray[np.float64], *, decades: bool = False, least: float = 1e-6) -> Tail:
        """Fit on `values` (n,) of normal operation; n below about 50 leaves the tail to the Pareto.

        `decades` says that values are surprises themselves, put together from several: beyond the sample one more of
        them is one more of theirs. `least` is the least excess that means anything, in units of `values`.
        """
        ordered = np.sort(np.asarray(values, float))
        # Fewer than five values beyond a quantile say little about where it is.
        reach = max(0.5, math.log10(max(len(ordered), 10) / 5))
        grid = np.linspace(0.0, reach, max(2, round(reach * 20)))
        knots = np.maximum.accumulate(np.quantile(ordered, 1 - 10.0**-grid))
        start = float(np.quantile(ordered, 1 - 10.0 ** -max(0.3, reach - 1.3)))
        scale, shape = pareto(ordered[ordered > start] - start)
        # The excesses over a higher threshold have the same shape and a scale that moves with it.
        scale = max(scale + shape * float(knots[-1] - start), 0.02 * float(np.std(ordered)), least)
        if decades:
            scale, shape = 1 / math.log(10), 0.0
        return cls(knots + np.arange(len(knots)) * 1e-12, grid, scale, shape)

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Surprise of `values` (n,), from 0 to CEILING, never falling as values rise."""
        inside = np.interp(values, self.knots, self.surprise)
        excess = np.maximum(np.asarray(values, float) - self.knots[-1], 0.0) / self.scale
        if abs(self.shape) < 1e-6:
            decades = excess / math.log(10)
        else:
            left = np.maximum(1.0 + self.shape * excess, 1e-300)
            decades = np.log10(left) / self.shape
        return np.asarray(np.minimum(np.where(excess > 0, self.surprise[-1] + decades, inside), CEILING))

    def arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """As arrays for an `.npz`, keyed by `name`."""
        return {
            f"{name}.knots": self.knots,
            f"{name}.surprise": self.surprise,
            f"{name}.pareto": np.array([self.scale, self.shape]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]], name: str) -> Tail:
        """The inverse of `arrays`."""
        scale, shape = arrays[f"{name}.pareto"]
        return cls(arrays[f"{name}.knots"], arrays[f"{name}.surprise"], float(scale), float(shape))


@dataclass(frozen=True)
class Sides:
    """The upper and the lower tail of every column of inputs in units of their normal spread: one a column and side.

    `knots` (2, d, k) and the Pareto's `scale` and `shape` (2, d) are above and below 0; `surprise` (k,) is common.
    """

    knots: NDArray[np.float64]
    surprise: NDArray[np.float64]
    scale: NDArray[np.float64]
    shape: NDArray[np.float64]

    @classmethod
    def fit(cls, scaled: NDArray[np.float64]) -> Sides:
        """Fit on `scaled` (n, d) of normal operation."""
        tails = [[Tail.fit(np.maximum(side, 0.0)) for side in sign * scaled.T] for sign in (1, -1)]
        knots, scale, shape = (
            np.array([[getattr(tail, name) for tail in side] for side in tails]) for name in ("knots", "scale", "shape")
        )
        return cls(knots, tails[0][0].surprise, scale, shape)

    def __call__(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Surprise (n, d) of each column of `scaled` (n, d) by the tail of its own side, 0 to CEILING.

        A column that hardly left 0 on a side in training knows nothing of how far it may: a normal distribution of its
        spread stands in.
        """
        surprise = np.interp(np.abs(scaled), _SPREADS, _NORMAL)
        for side, values in enumerate((scaled, -scaled)):
            for column in np.flatnonzero(self.knots[side, :, -1] > _EXACT):
                rows = np.flatnonzero(values[:, column] > 0)
                tail = Tail(self.knots[side, column], self.surprise, self.scale[side, column], self.shape[side, column])
                surprise[rows, column] = tail(values[rows, column])
        return surprise

    def arrays(self, name: str) -> dict[str, NDArray[np.float64]]:
        """As arrays for an `.npz`, keyed by `name`."""
        return {f"{name}.{key}": value for key, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]], name: str) -> Sides:
        """The inverse of `arrays`."""
        return cls(*(arrays[f"{name}.{key}"] for key in ("knots", "surprise", "scale", "shape")))


def pooled_tails(machines: int) -> NDArray[np.float64]:
    """`own_tails` (machines + 1, len(SURPRISES)) of machines that have none: surprises as all machines have them."""
    return np.tile(SURPRISES, (machines + 1, 1))


def own_tails(surprise: NDArray[np.float64], rows: NDArray[np.int64], machines: int, weight: float) -> NDArray[Any]:
    """What SURPRISES by all machines' tail are by each machine's own, from `surprise` (n,) of machines `rows` (n,).

    Returns (machines + 1, len(SURPRISES)), of which the last row is for every other machine and changes nothing. How
    many measurements a machine has and how unsteady they are makes it strange ten times as often as another, though
    each is in units of its own spread. A machine's tail counts by its n rows against `weight` of all machines'.
    """
    tables = pooled_tails(machines)
    for machine in range(machines):
        own = surprise[rows == machine]
        if len(own):
            share = len(own) / (len(own) + weight)
            tables[machine] = share * Tail.fit(own, decades=True)(SURPRISES) + (1 - share) * SURPRISES
    return tables


def own_surprise(
    tables: NDArray[np.float64], rows: NDArray[np.int64], surprise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`surprise` (n,), 0 to 8, by the tails `rows` (n,) of `tables` (see `own_tails`); never falls as it rises."""
    place = surprise / SURPRISES[1]
    left = np.minimum(place.astype(np.int64), len(SURPRISES) - 2)
    below, above = tables[rows, left], tables[rows, left + 1]
    return np.asarray(below + (place - left) * (above - below))


def surprise_of(false_alarm_rate: float) -> float:
    """The surprise that this share of normal time lies beyond; raises ValueError unless it is in (0, 1)."""
    if not 0 < false_alarm_rate < 1:
        raise ValueError(f"a false-alarm rate must be between 0 and 1. Got: {false_alarm_rate}")
    return -math.log10(false_alarm_rate)


def pareto(excesses: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shape of a generalised Pareto by probability-weighted moments (Hosking & Wallis 1987)."""
    y = np.sort(excesses)
    n = len(y)
    if n < 2:
        return 0.0, 0.0
    mean = float(y.mean())
    weighted = float((y * (n - np.arange(1, n + 1)) / (n - 1)).mean())
    if n < 20 or mean <= 2 * weighted:
        return mean, 0.0
    shape = float(np.clip(2 - mean / (mean - 2 * weighted), *SHAPES))
    return mean * (1 - shape), shape


@dataclass(frozen=True)
class Bands:
    """Which surprise of the combined evidence makes which score, and where the detector's own lifts it.

    `knots` (3,) are where 0.5, 0.7 and 0.9 begin, `lift` is the detector's own surprise that makes 0.9 whatever the
    labels know, `minutes` is how long a false episode lasts, `stated` (3,) are the episodes a machine-week.
    """

    knots: NDArray[np.float64]
    lift: float
    minutes: float
    stated: NDArray[np.float64]

    def score(self, surprise: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
        """0–1 (n,) of the combined evidence's `surprise` and the detector's `own`; rises with both."""
        banded = np.interp(surprise, [0.0, *self.knots, CEILING], [0.0, *BAND_SCORES, 1.0])
        lifted = np.interp(own, [self.lift - _RAMP, self.lift, CEILING], [0.0, BAND_SCORES[-1], 1.0])
        return np.asarray(np.maximum(banded, lifted))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """As an array for an `.npz`."""
        return {"bands": np.array([*self.knots, *self.stated, self.lift, self.minutes])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]]) -> Bands:
        """The inverse of `arrays`."""
        values = arrays["bands"]
        return cls(values[:3], float(values[6]), float(values[7]), values[3:6])


def bands(weekly: tuple[float, ...], minutes: float, own_9999: float) -> Bands:
    """The bands whose stated rates are `weekly` false-alarm episodes a machine-week, of `minutes` raised ones each.

    `own_9999` is the detector's surprise at its own 99.99th normal percentile, from where the score is 0.9 at least.
    """
    shares = np.clip(np.asarray(weekly) * minutes / WEEK_MINUTES, 10.0 ** (0.1 - CEILING), 0.5)
    knots = np.minimum(-np.log10(shares), CEILING - 0.1)
    # Strictly rising, for rates that are stated equal make no bands.
    knots = np.maximum.accumulate(knots + np.arange(len(knots)) * 1e-6)
    return Bands(knots, max(min(own_9999, CEILING - 0.1) - _EXACT, 0.1), minutes, np.asarray(weekly, float))


def episode_minutes(
    equipment: NDArray[Any], ends: NDArray[np.int64], values: NDArray[np.float64], step: float
) -> float:
    """How many raised minutes make a false-alarm episode, from rows of normal operation, each for `step` minutes.

    Counted at the highest level that still has enough raised rows, for episodes get shorter as the level rises. Between
    rows further apart than a minute short episodes fall. If the minutes m that one lasts are geometric, one that begins
    in a gap of g minutes lasts until its end with probability (m/g)(1 − (1 − 1/m)^g), so that episodes over rows is the
    mean of 1 − (1 − 1/m)^g over the gaps, which is solved for m; 1/m where all are a minute. Never below one minute,
    which is the side of more episodes.
    """
    if len(values) < 2 * _CLUSTER_ROWS:
        return 1.0
    level = np.partition(values, len(values) - _CLUSTER_ROWS)[len(values) - _CLUSTER_ROWS]
    raised, gaps = values >= level, _gaps(equipment, ends, step)
    if raised.mean() > 0.05 or not len(gaps):
        return 1.0
    found, rows = len(episodes(equipment, ends, raised, max(MERGE_MINUTES, step))), int(raised.sum())
    length, count = np.unique(gaps, return_counts=True)
    stays = np.geomspace(1.0, WEEK_MINUTES, 5000)
    met = (1 - (1 - 1 / stays[:, None]) ** length) @ (count / count.sum())
    return float(np.interp(found / rows, met[::-1], stays[::-1]))


def _gaps(equipment: NDArray[Any], ends: NDArray[np.int64], step: float) -> NDArray[np.float64]:
    """Minutes between neighbouring rows of a machine, without the breaks in which it stood or nothing was kept.

    Rows that stand for ten minutes each are no ten minutes apart: which of the ten it is differs (`warehouse.grid`).
    """
    names = equipment.astype(np.str_)
    order = np.lexsort((ends, names))
    same = names[order][1:] == names[order][:-1]
    gaps = np.diff(ends[order])[same] / MINUTE
    return np.asarray(gaps[gaps <= 2 * max(step, float(np.median(gaps)))] if len(gaps) else gaps)


@dataclass(frozen=True)
class BandRate:
    """False-alarm episodes a machine-week from a score on: stated, and measured with its interval."""

    score: float
    stated: float
    measured: float
    low: float
    high: float


def band_rates(
    equipment: NDArray[Any],
    ends: NDArray[np.int64],
    scores: NDArray[np.float64],
    stated: Iterable[float],
    step: float = 1.0,
    minutes: float = 1.0,
    level: float = 0.9,
) -> list[BandRate]:
    """What each band's rate was on normal rows (n,) that stand for `step` minutes each.

    Where rows are a minute apart episodes are counted. On a coarser grid the raised minutes are estimated, and
    `minutes` of them make an episode (`episode_minutes`); never fewer episodes than the grid itself met. The interval
    draws whole machine-days; where nothing was raised its upper end is the rule of three's, so that silence over a
    short time isn't taken for a rate of 0.
    """
    weeks = machine_weeks(equipment, step)
    if not len(scores):
        nothing = (math.nan, math.nan, math.nan)
        return [BandRate(score, rate, *nothing) for score, rate in zip(BAND_SCORES, stated, strict=True)]
    gaps = _gaps(equipment, ends, step)
    dense = len(gaps) > 0 and float(gaps.mean()) <= 1.5
    names, days = equipment.astype(np.str_), blocks(equipment, ends)
    order = np.lexsort((ends, names))
    found = []
    for score, rate in zip(BAND_SCORES, stated, strict=True):
        raised = scores >= score
        starts = _starts(names, ends, raised, order, max(MERGE_MINUTES, step))
        count = starts.astype(float)
        if not dense and starts.any():
            # An episode's rows share what it counts for, so that drawing days draws it with them.
            count = raised * max(step / max(minutes, 1.0), float(starts.sum() / raised.sum()))

        def weekly(weight: NDArray[np.float64], count: NDArray[np.float64] = count) -> float:
            covered = float(weight.sum()) * step / WEEK_MINUTES
            return float((count * weight).sum()) / covered if covered else math.nan

        if starts.any():
            low, high = interval(weekly, days, level=level, draws=300)
        else:
            low, high = 0.0, -math.log((1 - level) / 2) / weeks
        found.append(BandRate(score, rate, float(count.sum()) / weeks, low, high))
    return found


def band_figures(rates: list[BandRate]) -> dict[str, float]:
    """As figures by name, for `ml.evaluations`: stated, measured and the interval's ends, episodes a machine-week."""
    return {
        f"episodes_weekly_{rate.score}_{name}": float(getattr(rate, name))
        for rate in rates
        for name in ("stated", "measured", "low", "high")
    }


def _starts(
    names: NDArray[np.str_],
    ends: NDArray[np.int64],
    raised: NDArray[np.bool_],
    order: NDArray[np.int64],
    merge_minutes: float,
) -> NDArray[np.bool_]:
    """Which of the `raised` rows (n,) begin an episode, in the sense of `ml.episodes`."""
    rows = order[raised[order]]
    starts = np.zeros(len(ends), bool)
    if len(rows):
        new = np.ones(len(rows), bool)
        new[1:] = (names[rows][1:] != names[rows][:-1]) | (np.diff(ends[rows]) > merge_minutes * MINUTE)
        starts[rows[new]] = True
    return starts
