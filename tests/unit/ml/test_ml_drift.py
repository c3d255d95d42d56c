"""Drift: an unchanged plant is let alone, a changed one is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, wasserstein_distance  # type: ignore[import-untyped]

from ml.drift import reference
from ml.drift.findings import Day, Finding, compare, judge
from ml.drift.reference import PLANT, SCORE, binned, distance, psi
from ml.features import DEVIATIONS, FEATURES, MEASUREMENTS, Windows
from ml.policy import Policy

DAY = 86_400_000_000
A_DAY = 144  # windows on the grid
MEASURED = ("temperature", "vibration", "pressure")
MACHINES = ("PUMP-1", "PUMP-2")


def slow(rng: np.random.Generator, n: int, hours: float) -> NDArray[np.float64]:
    """An Ornstein-Uhlenbeck process of unit variance every ten minutes, remembering so many hours."""
    keep = np.exp(-1 / (6 * hours))
    shocks = rng.standard_normal(n) * np.sqrt(1 - keep**2)
    values = np.empty(n)
    values[0] = rng.standard_normal()
    for i in range(1, n):
        values[i] = keep * values[i - 1] + shocks[i]
    return values


def plant(seed: int, days: int) -> Windows:
    """`days` of machines whose deviations have a memory of an hour and, half of it, of two days: no two days alike."""
    rng = np.random.default_rng(seed)
    n = days * A_DAY
    equipment, ends, parts = [], [], []
    for name in MACHINES:
        x = np.full((n, len(FEATURES)), np.nan)
        for m in MEASUREMENTS:
            if m in MEASURED:
                x[:, FEATURES.index(f"{m}_flat_minutes")] = 0.0
                core = np.sqrt(0.5) * slow(rng, n, 1) + np.sqrt(0.5) * slow(rng, n, 48)
                for w in (5, 15, 60):
                    x[:, FEATURES.index(f"{m}_deviation_{w}m")] = core + 0.1 * rng.standard_normal(n)
        x[:, FEATURES.index("load_ratio")] = 0.85 + 0.05 * slow(rng, n, 8)
        equipment += [name] * n
        ends += [(i + 1) * DAY // A_DAY for i in range(n)]
        parts.append(x)
    return Windows(np.array(equipment, object), np.array(ends), np.zeros(2 * n, bool), np.vstack(parts))


def between(windows: Windows, first: int, last: int) -> Windows:
    return windows.take(np.flatnonzero((windows.ends > first * DAY) & (windows.ends <= last * DAY)))


def told_of_any(profiles: dict[tuple[str, str], reference.Profile], day: Windows) -> list[Finding]:
    findings, _ = judge(compare(profiles, Day(day, np.empty(0))), Policy(drift_quiet_days=30))
    return [finding for finding in findings if finding.drifted]


def kept(training: Windows) -> dict[tuple[str, str], reference.Profile]:
    return {(one.equipment_id, one.feature): one for one in reference.build(training)}


def test_an_unchanged_plant_is_told_to_have_drifted_no_oftener_than_the_policy_says() -> None:
    told, days = 0, 0
    for seed in range(4):
        windows = plant(seed, 100)
        profiles = kept(between(windows, 0, 60))
        for first in range(60, 100):
            told += bool(told_of_any(profiles, between(windows, first, first + 1)))
            days += 1
    assert days == 160
    assert told <= binom.ppf(0.99, days, 1 / 30)


def test_customary_thresholds_alone_would_cry_every_day() -> None:
    windows = plant(0, 70)
    profiles = kept(between(windows, 0, 60))
    comparisons = [compare(profiles, Day(between(windows, first, first + 1), np.empty(0))) for first in range(60, 70)]
    assert all(any(one.statistic == "psi" and one.value > 0.25 for one in day) for day in comparisons)


@pytest.mark.parametrize("size", [5.0, -5.0])
def test_a_shifted_measurement_is_told_and_no_other_machine(size: float) -> None:
    windows = plant(1, 61)
    profiles = kept(between(windows, 0, 60))
    day = between(windows, 60, 61)
    away = np.flatnonzero(day.equipment == "PUMP-2")
    for w in (5, 15, 60):
        day.x[away, FEATURES.index(f"pressure_deviation_{w}m")] += size
    found = told_of_any(profiles, day)
    own = {(f.feature, f.statistic) for f in found if f.equipment_id == "PUMP-2"}
    for statistic in ("shift", "residual", "distance"):
        assert ("pressure_deviation_60m", statistic) in own
    assert {f.equipment_id for f in found} <= {"PUMP-2", PLANT}


def test_a_feature_that_is_missing_is_told() -> None:
    windows = plant(2, 61)
    profiles = kept(between(windows, 0, 60))
    day = between(windows, 60, 61)
    assert not [f for f in told_of_any(profiles, day) if f.statistic == "missing"]
    day.x[day.equipment == "PUMP-1", FEATURES.index("vibration_deviation_60m")] = np.nan
    missing = {f.equipment_id: f.value for f in told_of_any(profiles, day) if f.statistic == "missing"}
    assert missing == {"PUMP-1": 1.0, PLANT: 0.5}


def test_scores_that_moved_are_told_though_no_feature_did() -> None:
    windows = plant(4, 61)
    day, days = between(windows, 60, 61), 21
    rng = np.random.default_rng(4)
    training, today = rng.beta(2, 8, days * A_DAY), rng.beta(2, 8, A_DAY)
    of_day = [np.arange(i * A_DAY, (i + 1) * A_DAY) for i in range(days)]
    profiles = kept(between(windows, 0, 60)) | {
        (PLANT, SCORE): reference.profile(PLANT, SCORE, training, of_day)
    }  # fmt: skip

    def of_scores(scores: NDArray[np.float64]) -> dict[str, bool]:
        findings, _ = judge(compare(profiles, Day(day, scores)), Policy())
        return {f.statistic: f.drifted for f in findings if (f.equipment_id, f.feature) == (PLANT, SCORE)}

    assert of_scores(today) == {"psi": False, "distance": False}
    assert of_scores(today + 0.3) == {"psi": True, "distance": True}
    assert of_scores(today[:20] + 0.3) == {}, "too few to say"


def test_too_short_a_training_is_judged_by_nothing() -> None:
    windows = plant(3, 7)
    profiles = kept(between(windows, 0, 6))
    day = between(windows, 6, 7)
    day.x[:] += 100
    findings, _ = judge(compare(profiles, Day(day, np.empty(0))), Policy())
    assert findings and not any(f.drifted for f in findings)
    assert {f.reason for f in findings} == {"6 days of training, fewer than 7"}


def test_a_clock_is_not_judged() -> None:
    days = 30
    values = np.arange(days * A_DAY) / A_DAY + 0.01 * np.sin(np.arange(days * A_DAY))
    of_day = [np.arange(i * A_DAY, (i + 1) * A_DAY) for i in range(days)]
    assert reference.profile("PUMP-1", "equipment_age_days", values, of_day).is_clock
    assert not reference.profile("PUMP-1", "equipment_age_days", values % 10, of_day).is_clock
    # A deviation that rises all the time is what drift is.
    assert not reference.profile("PUMP-1", DEVIATIONS[0], values, of_day).is_clock


shares = st.lists(st.floats(0.01, 1), min_size=10, max_size=10).map(lambda own: np.array(own) / sum(own))


def test_a_first_failure_is_an_event_and_no_drift_but_a_first_stuck_sensor_is_told() -> None:
    windows = plant(7, 21)
    of_one, last = windows.equipment == "PUMP-1", windows.ends > 20 * DAY
    for name, event in (("failures_90d", 1.0), ("errors_24h", 2.0), ("vibration_flat_minutes", 60.0)):
        windows.x[:, FEATURES.index(name)] = np.where(of_one & last, event, 0.0)
    told = told_of_any(kept(between(windows, 0, 20)), between(windows, 20, 21))
    assert {finding.feature for finding in told if finding.equipment_id == "PUMP-1"} == {"vibration_flat_minutes"}
    assert not [finding for finding in told if finding.feature in ("failures_90d", "errors_24h")]


@given(shares, shares)
def test_psi_is_nothing_between_equals_and_the_same_both_ways(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    assert psi(a, a) == 0
    assert psi(a, b) >= 0
    assert psi(a, b) == pytest.approx(psi(b, a))


def test_psi_by_hand() -> None:
    value = psi(np.array([0.5, 0.5]), np.array([0.25, 0.75]))
    assert value == pytest.approx(0.25 * np.log(2) - 0.25 * np.log(2 / 3))
    assert psi(np.array([1.0, 0.0]), np.array([0.5, 0.5])) < np.inf


@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0.2, 4))
def test_the_distance_is_scipys(seed: int, away: float, width: float) -> None:
    rng = np.random.default_rng(seed)
    training, day = rng.standard_normal(5000), away + width * rng.standard_normal(300)
    quantiles = np.quantile(training, (np.arange(100) + 0.5) / 100)
    assert distance(day, quantiles, 2.0) == pytest.approx(wasserstein_distance(day, training) / 2, abs=0.05, rel=0.05)


def test_every_value_is_in_one_bin() -> None:
    edges = np.array([0.0, 1.0])
    assert binned(np.array([-5, 0.0, 0.5, 1.0, 7]), edges).tolist() == [2, 2, 1]
