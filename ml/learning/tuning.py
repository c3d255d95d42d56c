"""Search for better parameters of the estimator with Optuna, on the time before the held-out one.

The objective is the mean over time-ordered folds of the average precision of faults: a model learns from all that was
known at a fold's border and is judged on the stretch after it. Where it would call more normal windows than the policy
allows at the alert threshold, a fold's figure shrinks in proportion. The built-in parameters are the first trial;
others are adopted only if they gain as much as the policy asks, for the best of many is flattered by chance.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from ml.calibration import ALERT_THRESHOLD
from ml.errors import ModelError
from ml.features import contract, from_micros
from ml.labels import HOUR, Labelled
from ml.learning import sampling
from ml.learning.parameters import chosen
from ml.learning.training import fit
from ml.policy import Policy
from warehouse.roles import Role, connect, url
from warehouse.settings import Settings

if TYPE_CHECKING:
    import optuna

FOLDS = 3
# The longest window of a feature: nearer to the border, learnt and judged rows share minutes.
PURGE = HOUR
DAY = 24 * HOUR
SEARCHED = ("trees", "max_depth", "min_samples_leaf", "isolation_trees", "isolation_samples")


@dataclass(frozen=True)
class TuningResult:
    """What a search came to; `parameters` are the best ones, used by trainings if `adopted`."""

    tuning_id: str | None
    trials: int
    pruned: int
    default_value: float
    best_value: float
    parameters: dict[str, Any]
    adopted: bool
    reason: str
    seconds: float


def tune(settings: Settings, moment: datetime, policy: Policy | None = None) -> TuningResult:
    """Search as of `moment`, for at most `policy.tuning_trials` trials and `policy.tuning_minutes`.

    A study belongs to one set of rows: a second search on the same ones goes on with it, and trials that were made
    count. With one seed and no cut by minutes it comes out the same. Where there is nothing to search on, the reason
    says so.
    """
    policy = policy or Policy()
    began = time.perf_counter()
    if policy.tuning_trials == 0:
        return _none("the policy allows no trials")
    with connect(settings, Role.SCORE, autocommit=True) as connection:
        lock = "SELECT pg_try_advisory_lock(hashtext('ml.tuning'))"
        if not (connection.execute(lock).fetchone() or [False])[0]:
            raise ModelError("another search is under way; wait for it to end")
        sample, _ = sampling.pinned(connection, moment, policy)
        border = sampling.split_at(sample, policy)
        learnt, _ = sampling.split(sample, policy)
        parts = folds(learnt)
        if not parts:
            return _none(
                f"{len(learnt):,} rows before the held-out time, {int(learnt.positive.sum()):,} of them with a known"
                " fault: too few faults beside normal operation to learn from earlier ones and judge by later ones"
            )
        name = f"{contract()}-{sample.hash()}"
        with _study(settings, name, policy) as study:
            _search(study, parts, sample.step, policy, chosen(connection, moment, from_micros(border))[1])
            result = _result(study, policy, time.perf_counter() - began)
        # One that compared nothing doesn't take its place from a search that did.
        if result.tuning_id is not None:
            _record(connection, result, name, moment, sample, border, len(parts), policy)
    return result


def _none(reason: str) -> TuningResult:
    return TuningResult(None, 0, 0, float("nan"), float("nan"), {}, False, f"no search: {reason}", 0.0)


def folds(learnt: Labelled, count: int = FOLDS) -> list[tuple[Labelled, Labelled]]:
    """Expanding windows: (rows labelled as known at a border, rows of the stretch after it), at most `count`.

    Borders lie right after faults were known, so that each stretch has about as many of them; the first after the
    first normal row, for a young mart has of its past what led to faults alone. There are fewer folds where faults are
    few, and none where a part would have one class only.
    """
    ends, positive = learnt.windows.ends, learnt.positive
    # A fault that only an answer tells of is over with its day.
    day = np.maximum((ends // DAY + 1) * DAY, learnt.known)
    over = np.unique(np.where(learnt.event >= 0, learnt.known, day)[positive])
    over = over[over > ends[~positive].min(initial=np.iinfo(np.int64).max)]
    if len(over) < 2:
        return []
    last = np.linspace(0, len(over), min(count, len(over) - 1) + 2).astype(int)[1:-1] - 1
    borders = [int(border) for border in over[last]]
    parts = []
    for since, until in zip(borders, [*borders[1:], int(ends.max())], strict=True):
        before, after = sampling.divide(learnt, since)
        stretch = (after.windows.ends > since + PURGE) & (after.windows.ends <= until)
        judged = after.take(np.flatnonzero(stretch))
        if all(0 < part.positive.sum() < len(part) for part in (before, judged)):
            parts.append((before, judged))
    return parts


def _search(
    study: optuna.Study, parts: list[tuple[Labelled, Labelled]], step: int, policy: Policy, previous: dict[str, Any]
) -> None:
    from optuna.trial import TrialState

    made = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in study.get_trials(deepcopy=False))
    if made == 0:
        study.enqueue_trial(_defaults())
        if previous:
            study.enqueue_trial(_defaults() | previous, skip_if_exists=True)
    if policy.tuning_trials > made:
        study.optimize(
            lambda trial: objective(trial, parts, step, policy),
            n_trials=policy.tuning_trials - made,
            timeout=policy.tuning_minutes * 60,
        )


def _defaults() -> dict[str, Any]:
    from ml.bundle import EquipmentAnomalyDetector

    return {name: value for name, value in EquipmentAnomalyDetector().get_params().items() if name in SEARCHED}


def _suggest(trial: optuna.Trial) -> dict[str, Any]:
    # The upper ends keep a bundle well under the gate's 50 MB.
    return {
        "trees": trial.suggest_int("trees", 60, 240, step=20),
        "max_depth": trial.suggest_int("max_depth", 4, 16),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 40, log=True),
        "isolation_trees": trial.suggest_int("isolation_trees", 50, 200, step=25),
        "isolation_samples": trial.suggest_categorical("isolation_samples", [256, 512, 1024, 2048]),
    }


def objective(trial: optuna.Trial, parts: list[tuple[Labelled, Labelled]], step: int, policy: Policy) -> float:
    """A trial's worth: the mean of `worth` over `parts`; raises TrialPruned where it is given up before the last."""
    import optuna

    parameters = _suggest(trial)
    values: list[float] = []
    for number, (learnt, judged) in enumerate(parts):
        card = fit(learnt, policy, parameters, step).scorecard
        values.append(worth(card.score(judged.windows.x, judged.windows.equipment).anomaly, judged, policy))
        trial.report(float(np.mean(values)), number)
        # After the last fold there is nothing left to save.
        if number + 1 < len(parts) and trial.should_prune():
            raise optuna.TrialPruned()
    return float(np.mean(values))


def worth(score: np.ndarray[Any, Any], judged: Labelled, policy: Policy) -> float:
    """Average precision of the faults among `judged` (n,) by `score` (n,), 0 to 1.

    Rows weigh the minutes that they stand for. Times allowed over actual, where the share of normal minutes at the
    alert threshold is over `policy.max_false_alarm_rate`.
    """
    from sklearn.metrics import average_precision_score

    normal = ~judged.positive
    precision = float(average_precision_score(judged.positive, score, sample_weight=judged.minutes))
    rate = float(np.average(score[normal] >= ALERT_THRESHOLD, weights=judged.minutes[normal]))
    return precision * min(1.0, policy.max_false_alarm_rate / max(rate, 1e-12))


@contextmanager
def _study(settings: Settings, name: str, policy: Policy) -> Iterator[optuna.Study]:
    """The study `name` in the schema `optuna` of the warehouse, made if it isn't there."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(
        url(settings, Role.SCORE), engine_kwargs={"connect_args": {"options": "-c search_path=optuna -c timezone=UTC"}}
    )
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True, pruner=pruner()
        )  # fmt: skip
        # Going on with a study must not draw the same numbers again.
        study.sampler = optuna.samplers.TPESampler(seed=policy.seed + len(study.get_trials(deepcopy=False)))
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def pruner() -> optuna.pruners.BasePruner:
    """Gives a trial up whose mean after a fold is below the median of the others' after as many."""
    import optuna

    return optuna.pruners.MedianPruner(n_startup_trials=3, n_min_trials=3)


def _result(study: optuna.Study, policy: Policy, seconds: float) -> TuningResult:
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    pruned = sum(trial.state is TrialState.PRUNED for trial in trials)
    own = [float(trial.value or 0.0) for trial in complete if trial.params == _defaults()]
    made = len(complete) + pruned
    budget = (
        f"its budget of {policy.tuning_trials} trials and {policy.tuning_minutes:g} minutes ended before {{}} finished,"
        f" trials made: {made}; the next search on the same rows goes on with them. More is allowed by"
        " MILLWRIGHT_ML_TUNING_TRIALS and MILLWRIGHT_ML_TUNING_MINUTES, or --trials and --minutes"
    )
    if not own:
        raise ModelError(f"study {study.study_name}: {budget.format('the one of the built-in parameters was')}")
    default, best = own[0], study.best_trial
    if made == len(own):
        reason = f"no search: {budget.format('any but that of the built-in parameters was')}"
        return TuningResult(None, made, pruned, default, default, {}, False, reason, seconds)
    value = float(best.value or 0.0)
    adopted = value >= default + policy.tuning_gain
    words = f"{value:.4f} over {len(complete)} trials and {pruned} pruned, {default:.4f} with the built-in parameters"
    if made < policy.tuning_trials:
        words += f", when {policy.tuning_minutes:g} minutes were over before {policy.tuning_trials} trials were made"
    verdict = "adopted" if adopted else f"not adopted: a gain of less than {policy.tuning_gain:g}"
    return TuningResult(
        f"{study.study_name.rsplit('-', 1)[1]}-{uuid.uuid4().hex[:8]}", made, pruned, default, value,
        dict(best.params), adopted, f"{words}; {verdict}", seconds,
    )  # fmt: skip


def _record(
    connection: psycopg.Connection,
    result: TuningResult,
    study: str,
    moment: datetime,
    sample: sampling.Sample,
    border: int,
    parts: int,
    policy: Policy,
) -> None:
    connection.execute(
        "INSERT INTO ml.tunings (tuning_id, study, moment, contract, data_hash, learnt_until, folds, trials, pruned,"
        " seed, default_value, best_value, parameters, adopted, reason, seconds)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            result.tuning_id, study, moment, contract(), sample.hash(), from_micros(border), parts, result.trials,
            result.pruned, policy.seed, result.default_value, result.best_value, Jsonb(result.parameters),
            result.adopted, result.reason, result.seconds,
        ),
    )  # fmt: skip
