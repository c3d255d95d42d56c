"""Bands are false-alarm episodes: their knots follow from the stated rates, and what is measured finds them again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.calibration import (
    BAND_SCORES,
    CEILING,
    SURPRISES,
    WEEK_MINUTES,
    Tail,
    band_rates,
    bands,
    episode_minutes,
    own_surprise,
    own_tails,
    pareto,
)
from ml.episodes import MINUTE
from ml.policy import BANDS_WEEKLY
from warehouse.grid import on_grid

WEEKS, MACHINES = 6, 4
SURPRISE = st.floats(0, CEILING)


def _plant(seed: int = 1, weeks: int = WEEKS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minutes of normal operation whose strangeness lasts about ten of them: machine, end and value."""
    rng = np.random.default_rng(seed)
    count = weeks * WEEK_MINUTES
    noise = rng.normal(size=(MACHINES, count + 10))
    values = np.array([np.convolve(row, np.ones(10) / math.sqrt(10), "valid")[:count] for row in noise])
    equipment = np.repeat(np.array([f"M{i}" for i in range(MACHINES)], dtype=object), count)
    return equipment, np.tile(np.arange(1, count + 1) * MINUTE, MACHINES), values.ravel()


def test_a_pareto_tail_is_found_again() -> None:
    rng = np.random.default_rng(2)
    for shape in (-0.2, 0.0, 0.3):
        uniform = rng.uniform(size=20_000)
        y = -np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape
        scale, found = pareto(2 * y)
        assert scale == pytest.approx(2 if shape >= 0 else y.mean() * 2, rel=0.1)
        assert found == pytest.approx(max(shape, 0), abs=0.05), "a tail that ends is taken for one that doesn't"
    assert pareto(np.array([])) == (0.0, 0.0)


def test_a_tail_extrapolates_tenfold_beyond_its_sample() -> None:
    rng = np.random.default_rng(3)
    surprise = [Tail.fit(rng.normal(size=10_000))(np.array([4.265]))[0] for _ in range(20)]
    assert np.median(surprise) == pytest.approx(5, abs=0.4)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.lists(st.floats(-1e7, 1e7), min_size=2), st.booleans()
)
def test_surprise_never_falls_and_stays_in_range(sample: list[float], values: list[float], decades: bool) -> None:
    tail = Tail.fit(np.array(sample), decades=decades)
    found = tail(np.sort(values))
    assert (np.diff(found) >= 0).all() and found.min() >= 0 and found.max() <= CEILING
    again = Tail.from_arrays(tail.arrays("t"), "t")
    assert np.array_equal(again(np.sort(values)), found)


def test_each_machine_is_as_often_surprising_by_its_own_tail() -> None:
    """Of three machines one is strange ten times as often as all together, and one is new."""
    rng = np.random.default_rng(4)
    rows = np.repeat([0, 1, 2], [4000, 20_000, 200])
    raw = -np.log10(rng.uniform(size=len(rows))) + np.where(rows == 0, 1.0, 0.0)
    pooled = Tail.fit(raw, decades=True)(raw)
    own = own_surprise(own_tails(pooled[rows < 2], rows[rows < 2], 2, 300), rows, pooled)

    def share(values: np.ndarray, machine: int) -> float:
        return float((values[rows == machine] >= 2).mean())

    assert share(pooled, 0) > 9 * share(pooled, 1)
    assert share(own, 0) == pytest.approx(0.01, abs=0.005) and share(own, 1) == pytest.approx(0.01, abs=0.005)
    assert np.allclose(own[rows == 2], pooled[rows == 2]), "of a new machine nothing is known but of all"


@given(st.lists(SURPRISE, max_size=400), st.lists(SURPRISE, min_size=2), st.floats(1, 1000))
def test_a_machines_own_surprise_never_falls_and_stays_in_range(
    sample: list[float], values: list[float], weight: float
) -> None:
    tables = own_tails(np.array(sample), np.zeros(len(sample), np.int64), 1, weight)
    assert tables.shape == (2, len(SURPRISES))
    for row in (0, 1):
        found = own_surprise(tables, np.full(len(values), row), np.sort(values))
        assert (np.diff(found) >= -1e-12).all() and found.min() >= 0 and found.max() <= CEILING + 1e-12
    assert np.allclose(found, np.sort(values))


@given(st.lists(SURPRISE, min_size=4, max_size=4), st.floats(0.5, 500), st.floats(0, CEILING))
def test_the_score_rises_with_each_evidence_and_stays_in_range(
    levels: list[float], minutes: float, own_9999: float
) -> None:
    found = bands(BANDS_WEEKLY, minutes, own_9999)
    low, high = sorted(levels[:2])
    other, more = sorted(levels[2:])
    one = found.score(np.array([low, low, high]), np.array([other, more, other]))
    assert one[0] <= one[1] and one[0] <= one[2]
    assert one.min() >= 0 and one.max() <= 1
    assert (np.diff(found.knots) > 0).all()
    assert found.score(np.zeros(1), np.array([own_9999]))[0] >= (0.9 if own_9999 >= 0.1 else 0)


def test_bands_give_the_stated_episodes_of_fresh_normal_operation() -> None:
    """0.5 is one a machine-week. 0.9 is seldomer than can be counted in 24 machine-weeks, which its interval says."""
    equipment, ends, values = _plant()
    tail = Tail.fit(values)
    minutes = episode_minutes(equipment, ends, tail(values), 1)
    assert 1 < minutes < 10
    found = bands(BANDS_WEEKLY, minutes, 8.0)
    fresh = _plant(seed=4)
    scores = found.score(tail(fresh[2]), np.zeros(len(fresh[2])))
    rates = band_rates(fresh[0], fresh[1], scores, BANDS_WEEKLY)
    assert [rate.score for rate in rates] == list(BAND_SCORES)
    for rate in rates:
        assert rate.low <= rate.measured <= rate.high
        assert rate.stated <= rate.high
    own = band_rates(equipment, ends, found.score(tail(values), np.zeros(len(values))), BANDS_WEEKLY)
    assert own[0].measured == pytest.approx(1.0, abs=0.15)
    assert rates[0].measured == pytest.approx(1.0, abs=0.8), "24 episodes chose the level, about 24 measure it"
    assert rates[1].measured < rates[0].measured
    assert rates[2].high < 0.3


def test_rows_ten_minutes_apart_tell_about_as_many_episodes_as_all_of_them() -> None:
    equipment, ends, values = _plant(seed=5, weeks=20)
    level = np.quantile(values, 0.998)
    scores = np.where(values >= level, 0.6, 0.0)
    whole = band_rates(equipment, ends, scores, BANDS_WEEKLY)[0].measured
    grid = ends % (10 * MINUTE) == 0
    thinned = equipment[grid], ends[grid]
    minutes = episode_minutes(*thinned, values[grid], 10)
    found = band_rates(*thinned, scores[grid], BANDS_WEEKLY, 10, minutes)[0]
    assert found.measured == pytest.approx(whole, rel=0.5)
    assert found.low < whole < found.high * 1.5


@pytest.mark.parametrize("stay", [4.0, 12.0, 40.0])
def test_an_episodes_length_is_told_from_the_minutes_that_stand_for_ten(stay: float) -> None:
    """Which of the ten it is differs, so that two of them are three or thirteen minutes apart, and ten in the mean."""
    rng = np.random.default_rng(6)
    count = 150 * WEEK_MINUTES
    values = rng.uniform(0, 0.5, count)
    lengths = rng.geometric(1 / stay, 300)
    for start, length in zip(rng.choice(count // 1000, 300, replace=False) * 1000, lengths, strict=True):
        values[start : start + length] = 1.0
    ends = np.arange(1, count + 1) * MINUTE
    rows = on_grid(ends)
    found = episode_minutes(np.full(rows.sum(), "A", dtype=object), ends[rows], values[rows], 10)
    assert found == pytest.approx(stay, rel=0.35)


def test_silence_over_a_short_time_is_no_rate_of_nothing() -> None:
    equipment = np.full(WEEK_MINUTES, "A", dtype=object)
    ends = np.arange(WEEK_MINUTES) * MINUTE
    rate = band_rates(equipment, ends, np.zeros(WEEK_MINUTES), BANDS_WEEKLY)[2]
    assert rate.measured == 0 and rate.low == 0
    assert rate.high == pytest.approx(3.0, abs=0.01), "the rule of three: at most 3 a week, after a week without"
    assert math.isnan(band_rates(equipment[:0], ends[:0], np.zeros(0), BANDS_WEEKLY)[0].measured)


def test_too_few_rows_take_the_side_of_more_episodes() -> None:
    assert episode_minutes(np.full(9, "A", dtype=object), np.arange(9) * MINUTE, np.zeros(9), 1) == 1.0
    equipment = np.full(500, "A", dtype=object)
    assert episode_minutes(equipment, np.arange(500) * MINUTE, np.zeros(500), 1) == 1.0
    lone = np.array([f"M{i}" for i in range(2000)], dtype=object)
    assert episode_minutes(lone, np.full(2000, MINUTE), np.arange(2000.0), 1) == 1.0, "no two rows of one machine"


def test_an_excess_below_what_means_anything_is_no_surprise() -> None:
    """Of values that hardly differ, the next one up is no more than the rarest of them."""
    values = 0.0122 + np.random.default_rng(3).uniform(0, 1e-6, 5000)
    told = [Tail.fit(values, least=least)(np.array([0.0123]))[0] for least in (1e-6, 0.01)]
    assert told[0] > 7 and told[1] == pytest.approx(3, abs=0.05)
