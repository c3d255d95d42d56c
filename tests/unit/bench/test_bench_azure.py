"""The scoreboard's Azure set: what a row knew, what chose a threshold, and that no part sees another's future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.scoreboard import azure
from ml.labels import HOUR

HOURS_A_YEAR = 365 * 24
START = pd.Timestamp("2015-01-01 07:00")


def _rows() -> pd.DataFrame:
    times = START + pd.to_timedelta(np.arange(0, 96, 3), "h")
    telemetry = pd.DataFrame({"datetime": times, "machineID": 1} | dict.fromkeys(azure.CHANNELS, 1.0))
    at = START + pd.Timedelta(hours=48)
    errors = pd.DataFrame({"datetime": [at - pd.Timedelta(hours=10)], "errorID": ["error2"]})
    failures = pd.DataFrame({"datetime": [at], "failure": ["comp3"]})
    maint = pd.DataFrame({"datetime": [START + pd.Timedelta(hours=6)], "comp": ["comp1"]})
    return azure._machine(telemetry, errors, failures, maint)


def test_a_row_knows_what_came_up_to_its_time_and_no_more() -> None:
    rows = _rows().set_index((_rows().datetime - START) / pd.Timedelta(hours=1))
    assert rows.error2.to_dict() == {hour: int(38 <= hour < 62) for hour in rows.index}
    assert rows.since_comp1.isna().sum() == 2 and rows.since_comp1[9] == 3
    assert rows.since_comp3.dropna().to_dict() == {hour: hour - 48 for hour in rows.index if hour >= 48}
    assert rows.left.to_dict() == {hour: 48 - hour if hour < 48 else np.inf for hour in rows.index}


@pytest.mark.parametrize("split", ["by time", "by machine"])
@pytest.mark.parametrize("hours", azure.HORIZONS.values())
def test_no_part_sees_the_next_ones_future(split: str, hours: int) -> None:
    times = (np.arange(0, HOURS_A_YEAR, 3) * HOUR).astype(np.int64)
    times, machine = np.concatenate([times, times]), np.repeat([False, True], len(times))
    train, chosen, judged = azure._parts(split, times, machine, hours)
    assert train.any() and chosen.any() and judged.any()
    ahead = hours * HOUR
    assert times[train].max() + ahead <= times[chosen].min()
    assert times[judged].max() + ahead <= times.max()
    if split == "by time":
        assert max(times[train].max(), times[chosen].max()) + ahead < times[judged].min()
    else:
        assert not machine[train | chosen].any() and machine[judged].all()


def test_a_threshold_is_the_best_of_what_it_was_chosen_on() -> None:
    said = np.array([0.9, 0.8, 0.8, 0.3, 0.1])
    came = np.array([True, True, True, False, False])
    assert azure.best_threshold(said, came) == 0.8
    assert azure.best_threshold(said, np.array([True, True, False, False, False])) == 0.8
    assert azure.best_threshold(said, np.zeros(5, bool)) == 0.5


def test_figures_are_counted_at_the_threshold_given() -> None:
    said, came = np.array([0.9, 0.6, 0.4, 0.2]), np.array([True, False, True, False])
    found = azure.figures(said, came, 0.5)
    assert (found["precision"], found["recall"], found["false alarms %"], found["base rate"]) == (0.5, 0.5, 50.0, 0.5)
    assert azure.figures(said, came, 0.95)["precision"] is None


def test_an_aim_that_a_run_gave_no_figure_for_is_short() -> None:
    assert not any(one["held"] for one in azure.result([])["aims"])
