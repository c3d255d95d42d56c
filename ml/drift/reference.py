"""What a model's training looked like, kept in `ml.reference` with its version, so that a day can be held against it.

The minutes of a day are not independent: a machine that runs a degree warmer does so all day. How much one day differs
from the others without anything being wrong is therefore measured on the training days themselves, each against the
rest, and kept beside the distribution. A drift check then reads a day and these rows, and no history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml.bootstrap import effective
from ml.features import DEVIATIONS, FEATURES, MEASUREMENTS, Windows
from ml.labels import Labelled
from ml.scorecard import Scorecard
from warehouse.grid import on_grid

PLANT = ""  # in the place of a machine: all of them
SCORE = "anomaly_score"
# What `attribution` goes by: the longest deviations, and the load that they depend on.
CHANNELS = (*(f"{m}_deviation_60m" for m in MEASUREMENTS), "load_ratio")
MIN_ROWS = 100
MIN_DAY_ROWS = 6  # of a training day, which is thinned
MIN_CHANNEL_SHARE = 0.5
# A bin that a day leaves empty counts as this share: PSI's logarithm has no value at nothing.
EMPTY_BIN = 1e-3
# |correlation| of a feature's day means with the calendar, from which on it is a clock and not a measurement.
CLOCK = 0.98
_DAY = 86_400_000_000
_AT = (np.arange(100) + 0.5) / 100


@dataclass(frozen=True)
class Profile:
    """One feature of one machine, or of the plant, in training. Spreads are sample deviations between days."""

    equipment_id: str
    feature: str
    row_count: int
    day_count: int
    missing_share: float
    missing_spread: float
    spread: float
    quantiles: NDArray[np.float64]  # (100,), empty where there were too few values
    edges: NDArray[np.float64]  # (bins − 1,)
    shares: NDArray[np.float64]  # (bins,)
    root_psi_mean: float | None = None
    root_psi_spread: float | None = None
    distance_mean: float | None = None
    distance_spread: float | None = None
    effective_days: float = 0.0  # as many independent days would tell as much
    is_clock: bool = False
    day_means: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # (day_count,), NaN without values
    covariances: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # (channels,)


_COLUMNS = tuple(f.name for f in fields(Profile))


def psi(actual: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Population stability index Σ (a − e) · ln(a / e) over bins; `actual` and `expected` (bins,) are shares.

    An empty bin counts as EMPTY_BIN. Customary readings are 0.1 (moderate) and 0.25 (major); they come from credit
    scoring, where rows are independent customers (N. Siddiqi, Credit Risk Scorecards, 2006; B. Yurdakul, Statistical
    Properties of the Population Stability Index, 2018), and say little of a machine's day on their own.
    """
    a, e = np.maximum(actual, EMPTY_BIN), np.maximum(expected, EMPTY_BIN)
    return float(np.sum((a - e) * np.log(a / e)))


def binned(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many of `values` (n,) lie up to the first edge, between the edges, beyond the last: (len(edges) + 1,)."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1).astype(float)


def distance(values: NDArray[np.float64], quantiles: NDArray[np.float64], spread: float) -> float:
    """Wasserstein-1 distance ∫ |F − G| between `values` (n,) and the reference, in units of the reference's spread.

    It is the mean way that a reading has to be moved (L. N. Vaserstein 1969), in its quantile form ∫ |F⁻¹ − G⁻¹| at the
    100 quantiles that are kept: what `scipy.stats.wasserstein_distance` gives but for the grid, at a twentieth of its
    time, which training has to spend on every day of every feature.
    """
    inverse = np.sort(values)[(_AT * len(values)).astype(np.int64)]
    return float(np.mean(np.abs(inverse - quantiles))) / spread


def build(windows: Windows) -> list[Profile]:
    """Profiles of every feature of the plant and of each machine with MIN_ROWS rows; features never seen have none."""
    machines = windows.equipment.astype(str)
    found = _profiles(PLANT, windows.x, windows.ends // _DAY)
    for name in np.unique(machines):
        rows = np.flatnonzero(machines == name)
        if len(rows) >= MIN_ROWS:
            found += _profiles(str(name), windows.x[rows], windows.ends[rows] // _DAY)
    return found


def _profiles(machine: str, x: NDArray[np.float64], day: NDArray[np.int64]) -> list[Profile]:
    days, counts = np.unique(day, return_counts=True)
    taken = days[counts >= MIN_DAY_ROWS]
    of_day = [np.flatnonzero(day == one) for one in taken]
    channels = [name for name in CHANNELS if np.isfinite(x[:, FEATURES.index(name)]).mean() >= MIN_CHANNEL_SHARE]
    columns = [FEATURES.index(name) for name in channels]
    covariances = _covariances(x[:, columns]) if machine != PLANT and columns else None
    found = []
    for index, name in enumerate(FEATURES):
        if not np.isfinite(x[:, index]).any():
            continue
        more: dict[str, Any] = {}
        if covariances is not None and name in channels:
            more = {"day_means": _day_means(x[:, index], of_day), "covariances": covariances[channels.index(name)]}
        found.append(profile(machine, name, x[:, index], of_day, **more))
    return found


def _covariances(x: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Over the rows that have every channel, (channels, channels); None where they are too few."""
    whole = x[np.isfinite(x).all(axis=1)]
    return np.atleast_2d(np.cov(whole, rowvar=False)) if len(whole) >= MIN_ROWS else None


def _day_means(values: NDArray[np.float64], of_day: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    finite = [values[rows][np.isfinite(values[rows])] for rows in of_day]
    return np.array([own.mean() if len(own) >= MIN_DAY_ROWS / 2 else np.nan for own in finite])


def profile(
    machine: str, name: str, values: NDArray[np.float64], of_day: list[NDArray[np.int64]], **more: Any
) -> Profile:
    """The profile of `values` (n,), NaN where missing; `of_day` are the rows of each day that counts as one.

    A day is held against the other days: its share is taken out of the bins, and as W(F, wF + (1 − w)R) is
    (1 − w) W(F, R), its distance from all is that from the others but for a factor.
    """
    missing = np.array([np.mean(~np.isfinite(values[rows])) for rows in of_day])
    finite = values[np.isfinite(values)]
    common: dict[str, Any] = {
        "equipment_id": machine, "feature": name, "row_count": len(values), "day_count": len(of_day),
        "missing_share": float(np.mean(~np.isfinite(values))), "missing_spread": _spread(missing), **more,
    }  # fmt: skip
    if len(finite) < MIN_ROWS:
        return Profile(**common, spread=1.0, quantiles=np.empty(0), edges=np.empty(0), shares=np.empty(0))
    edges = np.unique(np.quantile(finite, np.arange(1, 10) / 10))
    counts = binned(finite, edges)
    # What never moved is measured in its own unit.
    spread = float(np.std(finite)) or 1.0
    quantiles = np.quantile(finite, _AT)
    roots, distances, means = [], [], []
    for rows in of_day:
        own = values[rows][np.isfinite(values[rows])]
        if not 0 < len(own) < len(finite):
            continue
        own_counts = binned(own, edges)
        rest = (counts - own_counts) / (len(finite) - len(own))
        roots.append(np.sqrt(psi(own_counts / len(own), rest)))
        distances.append(distance(own, quantiles, spread) / (1 - len(own) / len(finite)))
        means.append(own.mean())
    if len(roots) > 1:
        common |= {
            "root_psi_mean": float(np.mean(roots)), "root_psi_spread": _spread(np.array(roots)),
            "distance_mean": float(np.mean(distances)), "distance_spread": _spread(np.array(distances)),
            "effective_days": effective(np.array(means)),
            "is_clock": name not in DEVIATIONS and _is_clock(np.array(means)),
        }  # fmt: skip
    return Profile(**common, spread=spread, quantiles=quantiles, edges=edges, shares=counts / len(finite))


def _spread(values: NDArray[np.float64]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _is_clock(means: NDArray[np.float64]) -> bool:
    if len(means) < 3 or np.ptp(means) == 0:
        return False
    return bool(abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) > CLOCK)


def keep(connection: psycopg.Connection, version: str, card: Scorecard, training: Labelled, held_out: Labelled) -> None:
    """Store the reference of a version: features over its normal training rows, scores over normal held-out ones.

    A model scores rows that it learnt from lower than new ones, so the scores' reference is time that it hadn't seen.
    """
    normal, later = (
        rows.take(np.flatnonzero(~rows.positive & ~rows.asked & on_grid(rows.windows.ends))).windows
        for rows in (training, held_out)
    )
    found = build(normal)
    if len(later):
        day = later.ends // _DAY
        days, counts = np.unique(day, return_counts=True)
        of_day = [np.flatnonzero(day == one) for one in days[counts >= MIN_DAY_ROWS]]
        found.append(profile(PLANT, SCORE, card.score(later.x, later.equipment).anomaly, of_day))
    _store(connection, version, found)


def _store(connection: psycopg.Connection, version: str, profiles: Iterable[Profile]) -> None:
    with connection.cursor() as cursor:
        # A registry that was begun anew beside an older warehouse counts from 1 again.
        cursor.execute("DELETE FROM ml.reference WHERE model_version = %s", (version,))
        statement = f"COPY ml.reference (model_version, {', '.join(_COLUMNS)}) FROM STDIN"
        with cursor.copy(statement.encode()) as copy:
            for one in profiles:
                copy.write_row((version, *(_plain(getattr(one, name)) for name in _COLUMNS)))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def load(connection: psycopg.Connection, version: str) -> dict[tuple[str, str], Profile]:
    """The profiles of a version by (machine, feature); empty where it was trained before references were kept."""
    statement = f"SELECT {', '.join(_COLUMNS)} FROM ml.reference WHERE model_version = %s"
    found = {}
    for row in connection.execute(statement.encode(), (version,)):
        values: list[Any] = [np.array(value, float) if isinstance(value, list) else value for value in row]
        one = Profile(*values)
        found[one.equipment_id, one.feature] = one
    return found
