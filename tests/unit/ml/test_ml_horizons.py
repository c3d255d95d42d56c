"""What lies ahead: labels as of the moment, probabilities that rise with time and mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, brier_score_loss

from ml import hazard, reliability
from ml.ahead import Ahead, label_ahead
from ml.features import FEATURES, Windows
from ml.horizons import EDGES, GRID, INPUTS, apply, inputs, quantiles, reach
from ml.labels import HOUR, Event

DAY = 24 * HOUR


def _windows(ends: np.ndarray, machine: str = "A", x: np.ndarray | None = None) -> Windows:
    count = len(ends)
    rows = np.full((count, len(FEATURES)), np.nan) if x is None else x
    return Windows(np.full(count, machine, dtype=object), np.asarray(ends), np.zeros(count, bool), rows)


def _event(
    at_h: float, mode: str = "bearing_wear", failed: bool = True, machine: str = "A", over_h: float = 2
) -> Event:
    return Event(f"{machine}{at_h}", machine, mode, int(at_h * HOUR), int((at_h + over_h) * HOUR), failed)


def _ahead(known: list[Event], ends_h: list[float], until_h: float = 1000) -> Ahead:
    windows = _windows((np.array(ends_h) * HOUR).astype(np.int64))
    return label_ahead(windows, known, np.ones(len(windows)), int(until_h * HOUR))


def test_every_window_has_its_next_failure() -> None:
    rows = _ahead([_event(100), _event(200)], [50, 100, 101, 103, 250])
    assert rows.hours.tolist() == [50, 0, 97, np.inf], "the window under repair is dropped"
    assert rows.event.tolist() == [0, 0, 1, -1]


def test_a_failure_after_the_moment_is_not_known() -> None:
    assert _ahead([_event(100)], [50], until_h=99).hours.tolist() == [np.inf]


def test_a_sensors_failure_is_none_and_another_machines_neither() -> None:
    rows = _ahead([_event(60, mode="sensor_drift"), _event(70, machine="B")], [50])
    assert rows.hours.tolist() == [np.inf] and rows.clear.tolist() == [np.inf]


def test_a_failure_that_somebody_prevented_says_nothing_of_what_would_have_come() -> None:
    rows = _ahead([_event(100, failed=False), _event(150)], [50, 99, 120])
    assert rows.hours.tolist() == [100, 51, 30]
    assert rows.clear.tolist() == [50, 1, np.inf]
    kept = rows.between(0, 1000 * HOUR, 24)
    assert kept.windows.ends.tolist() == [50 * HOUR, 120 * HOUR], "a day before it is clear, an hour before isn't"


def test_a_window_whose_future_is_not_over_is_no_row_failed_or_not() -> None:
    rows = _ahead([_event(100)], [10, 70, 90, 95]).between(0, 100 * HOUR, 24)
    assert rows.windows.ends.tolist() == [10 * HOUR, 70 * HOUR]


def test_a_short_past_lets_one_look_a_short_way() -> None:
    assert reach(4.0 * 24).max() == 24
    assert reach(22.0 * 24).tolist() == list(EDGES)
    assert len(reach(1.0)) == 0


cumulative = arrays(float, (7, len(EDGES)), elements=st.floats(0, 1)).map(lambda a: np.sort(a, axis=1))


@given(cumulative)
def test_times_lie_within_the_reach_and_in_order(within: np.ndarray) -> None:
    low, median, high = quantiles(np.array(EDGES), within, (0.1, 0.5, 0.9)).T
    assert (low >= 0).all() and (low <= median).all() and (median <= high).all() and (high <= EDGES[-1]).all()


def test_times_are_the_quantiles_of_an_even_spread() -> None:
    within = np.array([[0.25, 0.5, 1.0], [0.0, 0.0, 0.5], [0.4, 0.4, 0.4]])
    times = quantiles(np.array([1.0, 2.0, 4.0]), within, (0.1, 0.5, 0.9))
    assert times == pytest.approx(np.array([[0.4, 2.0, 3.6], [2.2, 3.0, 3.8], [0.1, 0.5, 0.9]]))


@given(arrays(float, (5, 4), elements=st.floats(0, 1)), st.integers(0, 2**32 - 1))
def test_calibrated_probabilities_rise_with_the_horizon(raw: np.ndarray, seed: int) -> None:
    curves = np.sort(np.random.default_rng(seed).uniform(0, 1, (4, len(GRID))), axis=1)
    assert (np.diff(apply(curves, np.sort(raw, axis=1)), axis=1) >= 0).all()


@given(st.integers(0, 2**32 - 1))
def test_a_curve_is_strictly_rising_and_never_certain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.uniform(0, 1, 50)
    came = rng.uniform(0, 1, 50) < raw
    came[:2] = True, False
    curve = reliability.curve(raw, came, np.ones(50), GRID, rng.integers(0, 9, 50))
    assert (np.diff(curve) > 0).all() and curve[0] > 0 and curve[-1] < 1


def test_a_curve_undoes_overconfidence() -> None:
    rng = np.random.default_rng(1)
    true = rng.uniform(0, 1, 20_000)
    said = np.clip(0.5 + 2 * (true - 0.5), 0, 1)
    came, ones = rng.uniform(0, 1, 20_000) < true, np.ones(20_000)
    better = np.interp(said, GRID, reliability.curve(said, came, ones, GRID, np.arange(20_000)))
    assert reliability.expected_calibration_error(said, came, ones) > 0.1
    assert reliability.expected_calibration_error(better, came, ones) < 0.02
    assert reliability.brier(better, came, ones) < reliability.brier(said, came, ones)


def test_hundreds_of_rows_before_one_failure_are_one_failure() -> None:
    """A forest that says 0.9 was right 500 times, before a single failure, then before nine."""
    raw = np.concatenate([np.full(500, 0.9), np.full(9500, 0.0)])
    came, ones = raw > 0.5, np.ones(10_000)
    quiet = 100 + np.arange(9500) // 100
    tops = [
        reliability.curve(raw, came, ones, GRID, np.concatenate([np.arange(500) % failures, quiet]))[-1]
        for failures in (1, 9)
    ]
    assert tops[0] == pytest.approx((1 + 0.05) / 2, abs=1e-3)
    assert tops[1] == pytest.approx((9 + 0.05) / 10, abs=1e-3)


@given(arrays(float, 30, elements=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])), st.integers(0, 2**32 - 1))
def test_the_figures_are_those_of_scikit_learn(said: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    came, weight = rng.integers(0, 2, 30).astype(bool), rng.integers(1, 11, 30).astype(float)
    came[0] = True
    theirs = average_precision_score(came, said, sample_weight=weight)
    assert reliability.average_precision(said, came, weight) == pytest.approx(theirs)
    assert reliability.brier(said, came, weight) == pytest.approx(brier_score_loss(came, said, sample_weight=weight))


def _plant(seed: int, machines: int = 12, days: int = 60, failures_each: int = 3) -> Ahead:
    """Hourly windows; a fault shows in vibration, growing over the two days before its failure."""
    rng = np.random.default_rng(seed)
    parts = []
    for machine in range(machines):
        ends = np.arange(1, days * 24 + 1) * HOUR
        failures = np.sort(rng.choice(np.arange(5, days), failures_each, replace=False)) * 24.0
        x = rng.normal(0, 0.7, (len(ends), len(FEATURES)))
        x[:, FEATURES.index("equipment_age_days")] = 1000 + machine
        hours = np.min([np.where(f * HOUR >= ends, f - ends / HOUR, np.inf) for f in failures], axis=0)
        event = np.where(np.isfinite(hours), machine * 10 + np.searchsorted(failures, ends / HOUR), -1)
        grown = np.clip(8 * (1 - hours / 48), 0, None)
        for what in ("vibration_deviation_5m", "vibration_deviation_60m"):
            x[:, FEATURES.index(what)] += grown
        windows = _windows(ends, f"M{machine}", x)
        parts.append(Ahead(windows, hours, np.full(len(ends), np.inf), event, np.ones(len(ends))))
    windows = Windows(
        np.concatenate([p.windows.equipment for p in parts]), np.concatenate([p.windows.ends for p in parts]),
        np.concatenate([p.windows.over_gap for p in parts]), np.vstack([p.windows.x for p in parts]),
    )  # fmt: skip
    every = [np.concatenate([getattr(p, name) for p in parts]) for name in ("hours", "clear", "event", "weight")]
    return Ahead(windows, *every)


@pytest.fixture(scope="module")
def fitted() -> hazard.Hazard:
    found = hazard.fit(_plant(1).between(0, 60 * DAY, EDGES[-1]), np.array(EDGES), trees=20)
    assert found is not None
    return found


def test_what_is_said_of_new_failures_comes_true(fitted: hazard.Hazard) -> None:
    rows = _plant(2).between(0, 60 * DAY, EDGES[-1])
    ahead = hazard.horizons(fitted).outlook(rows.windows.x)
    for said, hours in ((ahead.failure_24h, 24), (ahead.failure_72h, 72), (ahead.failure_7d, 168)):
        came = rows.hours <= hours
        base = came.mean()
        assert reliability.brier(said, came, rows.weight) < 0.9 * base * (1 - base)
        assert reliability.expected_calibration_error(said, came, rows.weight) < 0.06
    assert (ahead.failure_24h <= ahead.failure_72h).all() and (ahead.failure_72h <= ahead.failure_7d).all()
    soon = rows.hours <= 24
    assert np.median(ahead.failure_24h[soon]) > 0.7
    assert np.median(np.abs(ahead.hours[soon, 1] - rows.hours[soon])) < 10
    inside = (ahead.hours[:, 0] <= rows.hours) & (rows.hours <= ahead.hours[:, 2])
    assert 0.7 < inside[rows.hours <= EDGES[-1]].mean() < 0.95


def test_thinned_normal_rows_that_weigh_more_give_the_same_base_rate(fitted: hazard.Hazard) -> None:
    rows = _plant(1).between(0, 60 * DAY, EDGES[-1])
    kept = (rows.hours <= 12) | (np.arange(len(rows)) % 5 == 0)
    weight = np.where(rows.hours <= 12, 1.0, 5.0)
    part = rows.take(kept)
    thin = hazard.fit(Ahead(part.windows, part.hours, part.clear, part.event, weight[kept]), np.array(EDGES), trees=20)
    assert thin is not None
    new = _plant(3).between(0, 60 * DAY, EDGES[-1])
    said = hazard.horizons(thin).outlook(new.windows.x)
    assert said.failure_24h.mean() == pytest.approx((new.hours <= 24).mean(), rel=0.25)


def test_a_single_machine_with_weeks_of_past_teaches_too() -> None:
    rows = _plant(4, machines=1, days=27, failures_each=9).between(0, 27 * DAY, 24)
    found = hazard.fit(rows, np.array([1.0, 3.0, 6.0, 12.0, 24.0]), trees=20)
    assert found is not None
    said = hazard.horizons(found).outlook(rows.windows.x).failure_24h
    assert np.median(said[rows.hours <= 12]) > 0.9
    assert np.median(said[rows.hours > 72]) < 0.02, "all of its normal rows were held out at once"


def test_too_few_failures_teach_nothing() -> None:
    rows = _plant(1).between(0, 60 * DAY, EDGES[-1])
    few = rows.take(~np.isfinite(rows.hours) | (rows.event < 2))
    assert hazard.fit(few, np.array(EDGES)) is None


def test_missing_readings_are_normal_and_missing_history_is_told_apart() -> None:
    seen = inputs(np.full((1, len(FEATURES)), np.nan))[0]
    assert dict(zip(INPUTS, seen, strict=True))["vibration_deviation_5m"] == 0
    assert dict(zip(INPUTS, seen, strict=True))["hours_since_maintenance"] == -1
