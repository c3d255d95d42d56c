"""Train as of a moment, judge on later time, register; refuse where there is nothing to learn from, saying why."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from ml import evaluation, registry, sampling
from ml.errors import ModelError
from ml.features import FEATURES, contract, from_micros
from ml.labels import Labelled
from ml.policy import Policy
from warehouse.roles import Role, connect
from warehouse.settings import Settings

if TYPE_CHECKING:
    from ml.bundle import EquipmentAnomalyDetector


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to; `outcome` is trained or refused, `reason` in words."""

    training_id: str
    outcome: str
    reason: str
    model_version: str | None
    training_rows: int
    positive_rows: int
    held_out_rows: int
    seconds: float
    champion_version: str | None


def train(
    settings: Settings, moment: datetime, policy: Policy | None = None, *, bootstrap: bool = False
) -> TrainingResult:
    """Train a candidate on what was known at `moment`, evaluate it and the champion on the same later time.

    Fewer rows than the policy's minimum, or one class only, refuse a retraining. A `bootstrap` may then stand on the
    detector alone, and becomes champion if there is none.
    """
    policy = policy or Policy()
    began = time.perf_counter()
    training_id = f"{moment:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    with connect(settings, Role.SCORE) as connection:
        # Two trainings at once would both compare themselves with a champion that the other one replaces.
        lock = "SELECT pg_try_advisory_lock(hashtext('ml.training'))"
        if not (connection.execute(lock).fetchone() or [False])[0]:
            raise ModelError("another training is under way; wait for it to end")
        sample = sampling.draw(connection, moment, policy)
        training, held_out = sampling.split(sample, policy)
        refusal = _refusal(training, policy, bootstrap)
        if refusal:
            _record(connection, training_id, moment, policy, sample, training, held_out, "refused", refusal)
            return _result(training_id, "refused", refusal, None, training, held_out, began, None)
        bundle = _fit(training, policy, sample.step)
        scorecard = bundle.scorecard
        figures = evaluation.evaluate(scorecard, held_out, sample.step)
        champion = registry.aliases(settings)[registry.CHAMPION]
        version, run_id = registry.register(
            settings, bundle, _example(training), _parameters(sample, training, held_out, moment, policy), figures
        )
        figures["bundle_mb"] = (registry.folder(settings, version) / registry.BUNDLE).stat().st_size / 1e6
        reason = _reason(training, bundle)
        _record(connection, training_id, moment, policy, sample, training, held_out, "trained", reason, version, run_id)
        stretch = (sampling.split_at(sample, policy), sample.until)
        evaluation.store(connection, training_id, version, stretch, figures)
        if champion:
            card = registry.load(settings, champion)
            # A champion of another feature contract can't score these rows; the gate then has nothing to compare with.
            if card.contract == contract():
                theirs = evaluation.evaluate(card, held_out, sample.step)
                evaluation.store(connection, training_id, champion, stretch, theirs)
        elif bootstrap:
            registry.set_aliases(settings, {registry.CHAMPION: version})
            _first(connection, version, moment, reason)
        return _result(training_id, "trained", reason, version, training, held_out, began, champion)


def _refusal(training: Labelled, policy: Policy, bootstrap: bool) -> str | None:
    rows, positives = len(training), int(training.positive.sum())
    normal = rows - positives
    if normal < (200 if bootstrap else 1):
        return f"{normal:,} rows of normal operation before the held-out time: too few to know what is normal"
    if bootstrap:
        return None
    if rows < policy.min_training_rows:
        return f"{rows:,} training rows, fewer than {policy.min_training_rows:,}"
    if positives == 0:
        return f"one class only: {rows:,} rows of normal operation and none of a fault"
    return None


def _fit(training: Labelled, policy: Policy, step: int) -> EquipmentAnomalyDetector:
    from ml.bundle import EquipmentAnomalyDetector

    return EquipmentAnomalyDetector(
        seed=policy.seed, weekly=policy.bands_weekly, commissioning_windows=policy.commissioning_windows
    ).fit(
        training.windows.x,
        training.action,
        equipment=training.windows.equipment,
        hours=training.hours,
        sample_weight=training.weight,
        ends=training.windows.ends,
        step=step,
    )


def _reason(training: Labelled, bundle: EquipmentAnomalyDetector) -> str:
    rows, positives = len(training), int(training.positive.sum())
    if bundle.classifier_ is None:
        return f"trained on {rows:,} rows without labels enough to learn faults from: the detector works alone"
    faults = ", ".join(str(name) for name in bundle.classes_ if name != "continue_operation")
    return f"trained on {rows:,} rows, {positives:,} of them with a known fault ({faults})"


def _example(training: Labelled) -> np.ndarray[Any, Any]:
    return np.nan_to_num(training.windows.x[:5], nan=0.0)


def _parameters(
    sample: sampling.Sample, training: Labelled, held_out: Labelled, moment: datetime, policy: Policy
) -> dict[str, Any]:
    return {
        "moment": moment.isoformat(),
        "since": from_micros(sample.since).isoformat(),
        "until": from_micros(sample.until).isoformat(),
        "held_out_from": from_micros(sampling.split_at(sample, policy)).isoformat(),
        "training_rows": len(training),
        "positive_rows": int(training.positive.sum()),
        "held_out_rows": len(held_out),
        "normal_rows_thinned_to_every": sample.step,
        "data_hash": sample.hash(),
        "features": len(FEATURES),
        "contract": contract(),
        **{f"policy_{name}": value for name, value in policy.model_dump().items()},
    }


def _record(
    connection: psycopg.Connection,
    training_id: str,
    moment: datetime,
    policy: Policy,
    sample: sampling.Sample,
    training: Labelled,
    held_out: Labelled,
    outcome: str,
    reason: str,
    version: str | None = None,
    run_id: str | None = None,
) -> None:
    connection.execute(
        "INSERT INTO ml.training_runs (training_id, moment, model_version, mlflow_run_id, training_rows, positive_rows,"
        " held_out_rows, data_hash, seed, outcome, reason, finished_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())",
        (
            training_id, moment, version, run_id, len(training), int(training.positive.sum()), len(held_out),
            sample.hash(), policy.seed, outcome, reason,
        ),
    )  # fmt: skip


def _first(connection: psycopg.Connection, version: str, moment: datetime, reason: str) -> None:
    connection.execute(
        "INSERT INTO ml.promotions (moment, gate, candidate_version, criterion, passed, decision, reason)"
        " VALUES (%s, 'first_model', %s, 'decision', true, 'champion', %s)",
        (moment, version, f"there was no champion; {reason}"),
    )


def _result(
    training_id: str,
    outcome: str,
    reason: str,
    version: str | None,
    training: Labelled,
    held_out: Labelled,
    began: float,
    champion: str | None,
) -> TrainingResult:
    return TrainingResult(
        training_id, outcome, reason, version, len(training), int(training.positive.sum()), len(held_out),
        time.perf_counter() - began, champion,
    )  # fmt: skip
