"""The figures of a day beside those of the training, and which of them say that something drifted.

Every figure has two bounds and must pass both. One is of size: below it a change is no matter. The other is of chance:
a prediction interval from how much the training's own days differ from each other, shared by all figures of the run
(Bonferroni), so that an unchanged plant is said to have drifted once in `Policy.drift_quiet_days`. The customary
thresholds of PSI are the bound of size alone; on a machine's minutes, which are not independent, they would cry daily.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.drift import reference
from ml.drift.attribution import LEAST_SHIFT, Attribution, Machine, Position, Shift, attribute
from ml.drift.reference import CHANNELS, PLANT, SCORE, Profile
from ml.features import FEATURES, MEASUREMENTS, Windows
from ml.policy import Policy

# A machine is judged by a day with four hours of work in it, against at least so many days.
MIN_JUDGED_ROWS = 24
MIN_DAYS = 7
# Counts of a machine's events. Where no day of training had another count than the rest, nothing says how they differ
# by chance, and the first failure in weeks would be told as drift. A sensor that was never stuck before is no count.
COUNTS = ("errors_24h", "failures_90d")
# Bounds of size: PSI's customary "major"; a tenth of the spread for the distance, as evidently has it for long samples
# (its `wasserstein` stat test); a twentieth of the rows for missing values.
LEAST = {"psi": 0.25, "distance": 0.1, "missing": 0.05, "shift": LEAST_SHIFT, "residual": LEAST_SHIFT}


@dataclass(frozen=True)
class Comparison:
    """A figure of the day, and how the same figure is spread over the training's days (of its `power`-th root)."""

    equipment_id: str
    feature: str
    statistic: str
    value: float
    mean: float = 0.0
    spread: float = 0.0
    days: float = 0.0  # independent ones that the spread is worth
    power: int = 1
    reason: str | None = None  # why it can't be judged


@dataclass(frozen=True)
class Finding:
    """A figure and its bound, None where it couldn't be judged; `tag_ids` are the sensors where it drifted."""

    equipment_id: str
    feature: str
    statistic: str
    value: float
    bound: float | None
    drifted: bool
    reason: str | None = None
    verdict: str | None = None
    tag_ids: tuple[int, ...] = ()

    @property
    def excess(self) -> float:
        """The figure in units of its bound."""
        return abs(self.value) / self.bound if self.bound else 0.0


@dataclass(frozen=True)
class Day:
    """What is judged: windows on the grid, and the champion's scores (n,) of the same time."""

    windows: Windows
    scores: NDArray[np.float64]

    def of(self, machine: str) -> NDArray[np.float64]:
        """The features (n, len(FEATURES)) of a machine, or of all of them."""
        return self.windows.x if machine == PLANT else self.windows.x[self.windows.equipment == machine]


def judged_machines(day: Day) -> list[str]:
    """The machines with enough rows in the day."""
    names, counts = np.unique(day.windows.equipment.astype(str), return_counts=True)
    return [str(name) for name, count in zip(names, counts, strict=True) if count >= MIN_JUDGED_ROWS]


def compare(profiles: Mapping[tuple[str, str], Profile], day: Day) -> list[Comparison]:
    """Every figure of the plant and of each machine that has rows enough in the day and in training."""
    found: list[Comparison] = []
    machines = [PLANT, *judged_machines(day)] if len(day.windows) >= MIN_JUDGED_ROWS else []
    for machine in machines:
        x = day.of(machine)
        for index, feature in enumerate(FEATURES):
            known = profiles.get((machine, feature))
            if known is not None:
                found += _figures(known, x[:, index])
        own = {feature: one for (name, feature), one in profiles.items() if name == machine and name != PLANT}
        beside = Machine(own, _means(x), MIN_DAYS)
        found += [_moved(machine, name, "shift", beside.shift(name)) for name in beside.names]
        found += [_moved(machine, name, "residual", beside.residual(name)) for name in beside.measured]
    scored = profiles.get((PLANT, SCORE))
    if scored is not None and len(day.scores) >= MIN_JUDGED_ROWS:
        found += [figure for figure in _figures(scored, day.scores) if figure.statistic != "missing"]
    return found


def _figures(known: Profile, values: NDArray[np.float64]) -> list[Comparison]:
    place = (known.equipment_id, known.feature)
    few = f"{known.day_count} days of training, fewer than {MIN_DAYS}" if known.day_count < MIN_DAYS else None
    missing = float(np.mean(~np.isfinite(values)))
    found = [
        Comparison(
            *place, "missing", missing, known.missing_share, known.missing_spread, known.day_count, reason=few
        )
    ]  # fmt: skip
    finite = values[np.isfinite(values)]
    if not len(known.quantiles) or len(finite) < MIN_JUDGED_ROWS / 2:
        return found
    if known.is_clock:
        few = "it rises with the calendar"
    shares = reference.binned(finite, known.edges) / len(finite)
    far = reference.distance(finite, known.quantiles, known.spread)
    if known.root_psi_mean is None:
        few = few or "one day of training"
    alike = "it counts events, and the days of training had as many" if known.feature in COUNTS else None
    return [
        *found,
        Comparison(
            *place, "psi", reference.psi(shares, known.shares), known.root_psi_mean or 0.0,
            known.root_psi_spread or 0.0, known.day_count, power=2,
            reason=few or (None if known.root_psi_spread else alike),
        ),
        Comparison(
            *place, "distance", far, known.distance_mean or 0.0, known.distance_spread or 0.0, known.effective_days,
            reason=few or (None if known.distance_spread else alike),
        ),
    ]  # fmt: skip


def _moved(machine: str, name: str, statistic: str, shift: Shift) -> Comparison:
    return Comparison(machine, name, statistic, shift.value, 0.0, shift.spread, shift.days)


def _means(x: NDArray[np.float64]) -> dict[str, float]:
    """The day's means of a machine's channels; what is missing in over half of the rows has none."""
    found = {}
    for name in CHANNELS:
        values = x[:, FEATURES.index(name)]
        finite = values[np.isfinite(values)]
        if len(finite) >= max(MIN_JUDGED_ROWS, len(values)) / 2:
            found[name] = float(finite.mean())
    return found


def judge(comparisons: list[Comparison], policy: Policy) -> tuple[list[Finding], float]:
    """Findings, and the share of unchanged days on which any one figure may pass its bound."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    judged = [one for one in comparisons if one.reason is None]
    share = 1 / policy.drift_quiet_days / max(len(judged), 1)
    days = np.array([one.days for one in comparisons], float)
    # Half of the share on each side where a figure has a sign.
    tail = np.array([share / 2 if one.statistic in ("shift", "residual") else share for one in comparisons])
    quantiles = stdtrit(np.maximum(days - 1, 1), 1 - tail) if comparisons else np.empty(0)
    findings = []
    for one, quantile in zip(comparisons, quantiles, strict=True):
        if one.reason is not None:
            findings.append(Finding(one.equipment_id, one.feature, one.statistic, one.value, None, False, one.reason))
            continue
        usual = one.mean + float(quantile) * one.spread * float(np.sqrt(1 + 1 / one.days))
        bound = max(usual**one.power, LEAST[one.statistic])
        drifted = abs(one.value) > bound
        findings.append(Finding(one.equipment_id, one.feature, one.statistic, one.value, bound, drifted))
    return findings, share


def attributions(
    profiles: Mapping[tuple[str, str], Profile],
    day: Day,
    share: float,
    tags: Mapping[str, Mapping[str, list[Position]]],
) -> list[Attribution]:
    """What each machine's drift comes from, where something moved; `tags` are sensors by machine and measurement."""
    found = []
    for machine in judged_machines(day):
        own = {feature: one for (name, feature), one in profiles.items() if name == machine}
        beside = Machine(own, _means(day.of(machine)), MIN_DAYS)
        if beside.names:
            told = attribute(machine, beside, share, tags.get(machine, {}))
            found += [told] if told else []
    return found


def measurement_of(feature: str) -> str | None:
    """The measurement that a feature is made of, None for those that are not of one."""
    return next((m for m in MEASUREMENTS if feature.startswith(f"{m}_")), None)
