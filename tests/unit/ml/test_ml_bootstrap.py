"""The block bootstrap's interval is as wide as its blocks are few."""

import math

import numpy as np

from ml.bootstrap import blocks, interval


def _mean(values):
    return lambda weight: float(np.average(values, weights=weight)) if weight.sum() else math.nan


def test_windows_that_say_the_same_count_once():
    values = np.repeat(np.random.default_rng(1).normal(size=40), 50)
    apart = interval(_mean(values), np.arange(len(values)))
    together = interval(_mean(values), np.repeat(np.arange(40), 50))
    assert together[1] - together[0] > 4 * (apart[1] - apart[0])
    assert together[0] < values.mean() < together[1]


def test_a_block_is_a_machine_and_a_day():
    day = 86_400_000_000
    found = blocks(np.array(["A", "A", "A", "B"], dtype=object), np.array([1, 2, day + 1, 1]))
    assert found[0] == found[1] and len(set(found)) == 3


def test_nothing_to_count_is_no_number():
    assert all(math.isnan(end) for end in interval(lambda _: math.nan, np.array([0, 1])))
    assert all(math.isnan(end) for end in interval(lambda _: 1.0, np.array([], dtype=np.int64)))
