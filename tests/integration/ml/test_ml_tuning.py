"""A search goes on where it stopped, repeats with its seed, sees nothing of the held-out time, and is used."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import psycopg
import pytest

from ml import features
from ml.errors import ModelError
from ml.learning import parameters, sampling, training, tuning
from ml.policy import Policy
from ml.scorecard import detected
from tests.integration.ml.conftest import NOON, START, Fill
from warehouse.roles import Role, connect
from warehouse.settings import Settings


@pytest.fixture
def quick(policy: Policy) -> Policy:
    """Few rows: what is tested is the search, not the model."""
    few = {"max_normal_rows": 1000, "min_training_rows": 200, "tuning_trials": 2, "held_out_share": 0.1}
    return policy.model_copy(update=few)


def test_a_search_is_seeded_resumed_recorded_and_used(
    with_past: Settings, admin: psycopg.Connection, quick: Policy
) -> None:
    first = tuning.tune(with_past, NOON, quick)
    assert first.trials == 2 and first.best_value >= first.default_value
    values = "SELECT t.number, t.state::text, p.param_name, p.param_value FROM optuna.trials AS t" \
        " JOIN optuna.trial_params AS p USING (trial_id) WHERE study_id = %s ORDER BY 1, 3"  # fmt: skip
    before = admin.execute(values, (1,)).fetchall()
    assert {number for number, *_ in before} == set(range(2))

    # The same rows: the study has its trials already.
    again = tuning.tune(with_past, NOON, quick)
    assert (again.trials, again.best_value) == (2, first.best_value)
    more = tuning.tune(with_past, NOON, quick.model_copy(update={"tuning_trials": 3}))
    assert more.trials == 3
    assert admin.execute("SELECT count(*), count(DISTINCT study), max(trials) FROM ml.tunings").fetchone() == (3, 1, 3)

    # From the beginning, with the same seed: the same trials.
    admin.execute("DELETE FROM ml.tunings")
    admin.execute("DROP SCHEMA optuna CASCADE")
    admin.execute("CREATE SCHEMA optuna AUTHORIZATION millwright_score")
    tuning.tune(with_past, NOON, quick)
    assert admin.execute(values, (1,)).fetchall() == before

    # Adopted parameters are those of the next training.
    admin.execute('UPDATE ml.tunings SET adopted = true, parameters = \'{"trees": 60, "max_depth": 5}\'')
    trained = training.train(with_past, NOON, quick)
    used = admin.execute(
        "SELECT tuning_id = (SELECT tuning_id FROM ml.tunings), parameters ->> 'trees', parameters ->> 'max_depth'"
        " FROM ml.training_runs WHERE training_id = %s",
        (trained.training_id,),
    ).fetchone()
    assert used == (True, "60", "5")


def test_a_search_gives_up_what_falls_behind_and_stops_when_its_minutes_are_over(
    with_past: Settings, admin: psycopg.Connection, quick: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []

    def made_up(*_given: object) -> Any:
        """The first three trials find what lies out of its spread, later ones anything but that."""
        trials = admin.execute("SELECT count(*) FROM optuna.trials").fetchone()
        fitted.append("good" if trials and trials[0] <= 3 else "bad")

        def score(x: np.ndarray[Any, Any], _equipment: object) -> Any:
            out = np.minimum(np.abs(detected(x)).max(axis=1) / 10, 1.0)
            return SimpleNamespace(anomaly=out if fitted[-1] == "good" else 1 - out)

        return SimpleNamespace(scorecard=SimpleNamespace(score=score))

    # Time for the built-in parameters alone: nothing is compared, and nothing is said to have been.
    monkeypatch.setattr(tuning, "fit", lambda *given: time.sleep(0.2) or made_up(*given))  # type: ignore[func-returns-value]
    hurried = quick.model_copy(update={"tuning_trials": 100, "tuning_minutes": 0.1 / 60})
    ended = tuning.tune(with_past, NOON, hurried)
    assert (ended.tuning_id, ended.trials, ended.adopted) == (None, 1, False)
    assert ended.reason.startswith(
        "no search: its budget of 100 trials and 0.00166667 minutes ended before any but that of the built-in"
        " parameters was finished, trials made: 1; the next search on the same rows goes on with them. More is allowed"
    )
    assert admin.execute("SELECT count(*) FROM ml.tunings").fetchone() == (0,)

    monkeypatch.setattr(tuning, "fit", made_up)
    result = tuning.tune(with_past, NOON, quick.model_copy(update={"tuning_trials": 5}))
    assert (result.trials, result.pruned) == (5, 2)
    folds = fitted.count("good") // 3
    assert folds > 1 and fitted == ["good"] * 3 * folds + ["bad"] * 2, "a fold was enough"
    states = admin.execute("SELECT state::text FROM optuna.trials ORDER BY number").fetchall()
    assert [state for (state,) in states] == ["COMPLETE"] * 3 + ["PRUNED"] * 2

    # Of a hundred trials there is time for one, which is finished though it takes longer than that.
    monkeypatch.setattr(tuning, "fit", lambda *given: time.sleep(1.1) or made_up(*given))  # type: ignore[func-returns-value]
    hurried = quick.model_copy(update={"tuning_trials": 100, "tuning_minutes": 1 / 60})
    result = tuning.tune(with_past, NOON, hurried)
    assert result.trials == 6
    assert "when 0.0166667 minutes were over before 100 trials were made" in result.reason


def test_the_held_out_time_is_not_searched_on(with_past: Settings, admin: psycopg.Connection, quick: Policy) -> None:
    with connect(with_past, Role.SCORE, autocommit=True) as connection:
        sample, _ = sampling.pinned(connection, NOON, quick)
    border = sampling.split_at(sample, quick)
    learnt, _ = sampling.split(sample, quick)
    parts = tuning.folds(learnt)
    assert parts
    ended = [event.at for event in sample.events]
    for before, after in parts:
        assert before.windows.ends.max() + tuning.PURGE < after.windows.ends.min()
        assert after.windows.ends.max() <= border
        known = before.event[before.event >= 0]
        assert max(ended[event] for event in known) < after.windows.ends.min(), "known at the border"
    sizes = [len(before) for before, _ in parts]
    assert sizes == sorted(sizes), "windows expand"

    # A search that looked further than a training's border may not choose for it, nor one of the future.
    admin.execute(
        "INSERT INTO ml.tunings VALUES ('t', 's', %s, %s, 'h', %s, 3, 8, 0, 0, 0.5, 0.6, '{\"trees\": 60}', true,"
        " 'r', 1)",
        (NOON, features.contract(), NOON - timedelta(days=1)),
    )
    minute = timedelta(minutes=1)
    assert parameters.chosen(admin, NOON, NOON - timedelta(days=1)) == ("t", {"trees": 60})
    assert parameters.chosen(admin, NOON, NOON - timedelta(days=1) - minute) == (None, {})
    assert parameters.chosen(admin, NOON - minute, NOON) == (None, {})
    admin.execute("UPDATE ml.tunings SET parameters = '{\"no_such\": 1}'")
    assert parameters.chosen(admin, NOON, NOON) == (None, {})


def test_there_is_no_search_without_faults_or_trials(site: Settings, build: Fill, policy: Policy) -> None:
    build(START, START + timedelta(days=1))
    assert "too few faults" in tuning.tune(site, START + timedelta(days=1), policy).reason
    off = policy.model_copy(update={"tuning_trials": 0})
    assert "allows no trials" in tuning.tune(site, START + timedelta(days=1), off).reason


def test_two_searches_at_once(site: Settings, policy: Policy) -> None:
    with connect(site, Role.SCORE) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('ml.tuning'))")
        with pytest.raises(ModelError, match="another search"):
            tuning.tune(site, NOON, policy)
