"""What a search of parameters looks at, what a trial is worth, and when one is given up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from ml.errors import ModelError
from ml.labels import HOUR
from ml.learning import tuning
from ml.learning.sampling import Sample
from ml.policy import Policy

POLICY = Policy()


def test_folds_expand_and_know_nothing_later(sample: Sample) -> None:
    parts = tuning.folds(sample.rows)
    assert [round(before.windows.ends.max() / HOUR) for before, _ in parts] == [5, 10, 15]
    for before, after in parts:
        assert after.windows.ends.min() > before.windows.ends.max() + tuning.PURGE
        assert 0 < after.positive.sum() < len(after)
    one_fault = sample.rows.take(np.flatnonzero(sample.rows.event <= 0))
    assert tuning.folds(one_fault) == []


def test_a_fold_learns_no_label_that_came_after_its_border(sample: Sample) -> None:
    """The third fault was recorded five hours late: the fold that ends then is the first that knows of it."""
    late = sample.rows.event == 2
    rows = replace(sample.rows, known=np.where(late, sample.rows.known + 5 * HOUR, sample.rows.known))
    learnt = [set(before.event[before.event >= 0].tolist()) for before, _ in tuning.folds(rows)]
    assert learnt == [{0}, {0, 1}, {0, 1, 2, 3}]


def test_a_past_of_faults_alone_moves_the_first_border_and_ends_no_search(sample: Sample) -> None:
    """A first build writes of the old days the hours before failures, and no normal ones: no fold can begin there."""
    second = sample.rows.windows.ends[sample.rows.event == 1].max()
    young = sample.rows.take(np.flatnonzero(sample.rows.positive | (sample.rows.windows.ends > second)))
    parts = tuning.folds(young)
    assert len(parts) == 2, "of five faults three end later, and the last one judges"
    for before, after in parts:
        assert 0 < before.positive.sum() < len(before) and 0 < after.positive.sum() < len(after)


def test_false_alarms_cost_what_they_exceed(sample: Sample) -> None:
    rows = sample.rows
    perfect = np.where(rows.positive, 0.9, 0.1)
    assert tuning.worth(perfect, rows, POLICY) == pytest.approx(1.0)
    # Ranked right, but a tenth of what is normal is over the alert threshold: twice what the policy allows.
    normal = np.flatnonzero(~rows.positive)
    loud = perfect.copy()
    loud[normal[: len(normal) // 10]] = 0.8
    assert tuning.worth(loud, rows, POLICY) == pytest.approx(0.5)
    # Where these are a tenth as many minutes as the other normal rows, that is within what it allows.
    lighter = replace(rows, minutes=np.where(rows.positive | (loud == 0.8), 1.0, 10.0))
    assert tuning.worth(loud, lighter, POLICY) == pytest.approx(1.0)


def test_a_trial_behind_the_median_is_given_up_after_a_fold(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tuning.folds(sample.rows)
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


def test_a_search_that_ended_before_the_built_in_parameters_were_tried_says_what_ended_it() -> None:
    study = optuna.create_study(study_name="rows", direction="maximize")
    others = tuning._defaults() | {"max_depth": 5}
    study.enqueue_trial(others)
    study.optimize(lambda trial: float(tuning._suggest(trial)["trees"]), n_trials=1)
    with pytest.raises(
        ModelError,
        match=r"study rows: its budget of 24 trials and 45 minutes ended before the one of the built-in parameters was "
        r"finished, trials made: 1.*More is allowed by MILLWRIGHT_ML_TUNING_TRIALS and MILLWRIGHT_ML_TUNING_MINUTES",
    ):
        tuning._result(study, POLICY, 1.0)
