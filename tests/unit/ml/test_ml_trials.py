"""What a search of parameters looks at, what a trial is worth, and when one is given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from ml import tuning
from ml.labels import HOUR
from ml.policy import Policy
from ml.sampling import Sample

POLICY = Policy()


def test_folds_expand_and_know_nothing_later(sample: Sample) -> None:
    parts = tuning.folds(sample.rows, sample.events)
    assert [round(before.windows.ends.max() / HOUR) for before, _ in parts] == [5, 10, 15]
    for before, after in parts:
        assert after.windows.ends.min() > before.windows.ends.max() + tuning.PURGE
        assert 0 < after.positive.sum() < len(after)
    one_fault = sample.rows.take(np.flatnonzero(sample.rows.event <= 0))
    assert tuning.folds(one_fault, sample.events) == []


def test_false_alarms_cost_what_they_exceed(sample: Sample) -> None:
    rows = sample.rows
    perfect = np.where(rows.positive, 0.9, 0.1)
    assert tuning.worth(perfect, rows, 10, POLICY) == pytest.approx(1.0)
    # Ranked right, but a tenth of what is normal is over the alert threshold: twice what the policy allows.
    normal = np.flatnonzero(~rows.positive)
    loud = perfect.copy()
    loud[normal[: len(normal) // 10]] = 0.8
    assert tuning.worth(loud, rows, 10, POLICY) == pytest.approx(0.5)


def test_a_trial_behind_the_median_is_given_up_after_a_fold(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tuning.folds(sample.rows, sample.events)
    fitted: list[int] = []

    def made_up(_learnt: object, _policy: object, parameters: dict[str, Any], _step: int) -> Any:
        """A detector that finds a tenth of the faults if its trees are as flat as can be, else all."""
        depth = parameters["max_depth"]
        fitted.append(depth)
        share = 0.1 if depth == 4 else 1.0

        def score(x: np.ndarray, _equipment: object) -> Any:
            positive = x[:, 1] > 3
            found = positive & (np.cumsum(positive) <= share * positive.sum())
            return SimpleNamespace(anomaly=np.where(found, 0.9, 0.1))

        return SimpleNamespace(scorecard=SimpleNamespace(score=score))

    monkeypatch.setattr(tuning, "fit", made_up)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", pruner=tuning.pruner(), sampler=optuna.samplers.TPESampler(seed=0)
    )
    for depth in (10, 11, 12, 4):
        study.enqueue_trial({"max_depth": depth})
    study.optimize(lambda trial: tuning.objective(trial, parts, 1, POLICY), n_trials=4)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3 + ["PRUNED"]
    assert fitted == [10] * 3 + [11] * 3 + [12] * 3 + [4]
    assert study.best_value > 0.9
