"""Evidence that may be looked at every day is wrong no more often than it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.gates.sequential import evidence, not_worse, share, worse
from ml.gates.shadow import REFUSALS
from ml.policy import Policy

PLANTS, LOOKS = 4000, 400
POLICY = Policy()


def _raised(rate: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((PLANTS, LOOKS)) < rate).astype(float)


def _ever(differences: np.ndarray, margin: float, bound: float, *, against: bool = False) -> float:
    """The share of plants in which the evidence reaches `bound` at any of the looks, one after each observation."""
    stake = evidence(-differences - margin, -margin - 1) if against else evidence(differences + margin, margin - 1)
    return float((stake >= bound).any(axis=1).mean())


@pytest.mark.parametrize(("margin", "base"), [(POLICY.failure_margin, 0.8), (POLICY.false_alarm_margin, 0.9)])
def test_one_that_is_worse_by_the_margin_is_seldom_promoted_over_all_looks(margin: float, base: float) -> None:
    """At the very border of what may be; the champion raises `base` of what it should, the challenger less."""
    promoted = _ever(_raised(base - margin, 1) - _raised(base, 2), margin, 1 / POLICY.shadow_error)
    assert promoted <= POLICY.shadow_error
    clearly = _ever(_raised(base - 3 * margin, 3) - _raised(base, 4), margin, 1 / POLICY.shadow_error)
    assert clearly <= 0.01


@pytest.mark.parametrize("margin", [POLICY.failure_margin, POLICY.false_alarm_margin])
@pytest.mark.parametrize("base", [0.5, 0.9])
def test_an_equal_one_is_seldom_refused_over_all_looks(margin: float, base: float) -> None:
    differences = _raised(base, 5) - _raised(base, 6)
    refused = _ever(differences, margin, REFUSALS / POLICY.shadow_error, against=True)
    assert refused <= POLICY.shadow_error / REFUSALS


def test_a_fixed_sample_test_looked_at_daily_is_wrong_far_more_often() -> None:
    """What the e-value is for: the same data, a bare one-sided test at each look."""
    differences = _raised(0.7, 7) - _raised(0.9, 8) + 0.2
    counts = np.arange(1, LOOKS + 1)
    mean = differences.cumsum(axis=1) / counts
    spread = np.sqrt(np.maximum((differences**2).cumsum(axis=1) / counts - mean**2, 1e-12) / counts)
    daily = (mean / spread > 1.645)[:, 20:].any(axis=1).mean()
    assert daily > 3 * POLICY.shadow_error


def test_it_decides_in_the_end() -> None:
    """Two that say the same are told to be so after some twenty failures; one that sees half of them less is caught."""
    same = evidence(np.zeros(40) + POLICY.failure_margin, POLICY.failure_margin - 1)
    assert 15 <= int(np.argmax(same >= 1 / POLICY.shadow_error)) + 1 <= 25
    clear = evidence(np.zeros(300) + POLICY.false_alarm_margin, POLICY.false_alarm_margin - 1)
    assert 100 <= int(np.argmax(clear >= 1 / POLICY.shadow_error)) + 1 <= 200
    blind = _raised(0.4, 9)[:, :120] - _raised(0.9, 10)[:, :120]
    assert _ever(blind, POLICY.failure_margin, REFUSALS / POLICY.shadow_error, against=True) > 0.9
    better = _raised(0.9, 11)[:, :60] - _raised(0.6, 12)[:, :60]
    assert _ever(better, POLICY.failure_margin, 1 / POLICY.shadow_error) > 0.9


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=50), st.randoms())
def test_the_order_in_which_things_become_known_changes_nothing(found: list[float], chance) -> None:  # type: ignore[no-untyped-def]
    other = found.copy()
    chance.shuffle(other)
    for judged in (not_worse, worse):
        assert judged(np.array(found), 0.1) == pytest.approx(judged(np.array(other), 0.1))


def test_nothing_is_no_evidence_and_a_false_bound_is_refused() -> None:
    assert not_worse(np.array([]), 0.1) == worse(np.array([]), 0.1) == 1.0
    for lowest in (0.0, -0.5):
        with pytest.raises(ValueError, match="lowest"):
            evidence(np.array([-1.0]), lowest)


def test_the_interval_of_a_share_holds_at_every_look() -> None:
    hits = np.random.default_rng(13).random((300, 200)) < 0.7
    missed = 0
    for plant in hits:
        found = plant.cumsum()
        inside = [share(int(found[n]), int(n + 1 - found[n]), 0.1) for n in range(0, 200, 10)]
        missed += not all(low <= 0.7 <= high for low, high in inside)
    assert missed / len(hits) <= 0.1
    assert share(0, 0, 0.1) == pytest.approx((0, 1), abs=1e-6)
    low, high = share(90, 10, 0.05)
    assert 0.7 < low < 0.9 < high < 0.98
