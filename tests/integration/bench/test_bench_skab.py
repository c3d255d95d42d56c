"""The estimators on SKAB's real files: published figures are in reach, and an F1 alone says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.scoreboard import skab
from bench.scoreboard.estimators import filled, levels
from bench.scoreboard.files import SKAB_TRAINING_ROWS, read_experiment, skab_paths


def test_estimators_stand_as_on_the_leaderboard(recorded_data: Path) -> None:
    experiments = [read_experiment(path) for path in skab_paths(recorded_data)[:4]]
    rows = {row["detector"]: row for row in skab.raw_rows(experiments, skab.flagged(experiments))}
    everything, forest, pca = (rows[name] for name in ("flag everything", "Isolation Forest", "T² + Q"))
    assert (everything["FAR %"], everything["MAR %"]) == (100.0, 0.0)
    assert everything["F1"] > 0.65
    assert forest["MAR %"] > 70  # published: it misses 83 %
    assert abs(pca["F1"] - 0.76) < 0.1
    assert rows[skab.OURS]["FAR %"] < pca["FAR %"]


def test_levels_hold_the_aim_on_all_files(recorded_data: Path) -> None:
    experiments = [read_experiment(path) for path in skab_paths(recorded_data)]
    flags = {skab.OURS: [levels(*np.split(filled(one.values), [SKAB_TRAINING_ROWS])) for one in experiments]}
    (row,) = skab.raw_rows(experiments, flags)
    assert row["F1"] >= 0.80
    assert row["FAR %"] <= 15
