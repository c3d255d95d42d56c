"""Train as of a moment, judge on later time, register; refuse where there is nothing to learn from, saying why."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from numpy.typing import ArrayLike
from psycopg import sql
from psycopg.types.json import Jsonb

from ml import registry, watermark
from ml.drift import reference
from ml.errors import ContractError, ModelError
from ml.features import DEVIATIONS, FEATURES, contract, from_micros
from ml.gates import evaluation
from ml.labels import Labelled
from ml.learning import sampling
from ml.learning.parameters import chosen
from ml.learning.provenance import Provenance, fingerprint, provenance
from ml.policy import Policy
from ml.scorecard import Scorecard
from warehouse.roles import Role, connect
from warehouse.settings import Settings

if TYPE_CHECKING:
    from ml.ahead import Ahead
    from ml.bundle import EquipmentAnomalyDetector

_DEVIATIONS = [FEATURES.index(name) for name in DEVIATIONS]


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
    detector alone, and becomes champion if there is none, or none that this code can score with. What breaks off leaves
    a row with outcome 'failed' and the reason, no alias, and no version that could be taken for a candidate.
    """
    policy = policy or Policy()
    training_id = f"{moment:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    with connect(settings, Role.SCORE, autocommit=True) as connection:
        # Two trainings at once would both compare themselves with a champion that the other one replaces.
        lock = "SELECT pg_try_advisory_lock(hashtext('ml.training'))"
        if not (connection.execute(lock).fetchone() or [False])[0]:
            raise ModelError("another training is under way; wait for it to end")
        run = _Run(training_id, moment, policy, time.perf_counter())
        try:
            return _train(settings, connection, run, bootstrap)
        except BaseException as error:  # a task's time that is over, or a signal, is no Exception
            words = [type(error).__name__, *str(error).strip().splitlines()[:1]]
            # Where the warehouse is what failed, no row can be had, and its own words are the ones to raise.
            with suppress(psycopg.OperationalError):
                run.write(connection, "failed", ": ".join(words))
            raise


@dataclass
class _Run:
    """A training on its way: what is known of it so far, for its row in `ml.training_runs` however it ends."""

    training_id: str
    moment: datetime
    policy: Policy
    began: float
    sample: sampling.Sample | None = None
    read: watermark.Range | None = None
    training: Labelled | None = None
    held_out: Labelled | None = None
    tuning_id: str | None = None
    bundle: EquipmentAnomalyDetector | None = None
    card: Scorecard | None = None
    version: str | None = None
    run_id: str | None = None
    champion: str | None = None
    made: Provenance = field(default_factory=provenance)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def columns(self) -> dict[str, Any]:
        """Columns of `ml.training_runs`, None for what isn't known."""
        made, sample, read = self.made, self.sample, self.read
        return {
            "training_id": self.training_id,
            "moment": self.moment,
            "model_version": self.version,
            "mlflow_run_id": self.run_id,
            "training_rows": None if self.training is None else len(self.training),
            "positive_rows": None if self.training is None else int(self.training.positive.sum()),
            "held_out_rows": None if self.held_out is None else len(self.held_out),
            "data_hash": sample and sample.hash(),
            "seed": self.policy.seed,
            "snapshot": read and read.until,
            "system_identifier": read and read.system_identifier,
            "since_ts": sample and from_micros(sample.since),
            "until_ts": sample and from_micros(sample.until),
            "held_out_from": sample and from_micros(sampling.split_at(sample, self.policy)),
            "sample_rows": sample and len(sample.rows),
            "contract": contract(),
            "code_version": made.code_version,
            "code_hash": made.code_hash,
            "libraries": Jsonb(made.libraries),
            "policy": Jsonb(self.policy.model_dump(mode="json")),
            "parameters": self.bundle and Jsonb(self.bundle.get_params()),
            "tuning_id": self.tuning_id,
            "model_hash": self.card and fingerprint(self.card),
        }

    def write(self, connection: psycopg.Connection, outcome: str, reason: str) -> None:
        row = self.columns() | {"outcome": outcome, "reason": reason}
        names = sql.SQL(", ").join(map(sql.Identifier, row))
        connection.execute(
            sql.SQL(
                "INSERT INTO ml.training_runs ({}, started_at, finished_at) VALUES ({},"
                " clock_timestamp() - make_interval(secs => {}), clock_timestamp())"
            ).format(names, sql.SQL(", ").join(map(sql.Placeholder, row)), sql.Placeholder("seconds")),
            row | {"seconds": self.seconds},
        )

    def result(self, outcome: str, reason: str) -> TrainingResult:
        assert self.training is not None and self.held_out is not None  # drawn before anything comes of it
        return TrainingResult(
            self.training_id, outcome, reason, self.version, len(self.training), int(self.training.positive.sum()),
            len(self.held_out), self.seconds, self.champion,
        )  # fmt: skip


def _train(settings: Settings, connection: psycopg.Connection, run: _Run, bootstrap: bool) -> TrainingResult:
    policy = run.policy
    sample, run.read = sampling.pinned(connection, run.moment, policy)
    run.sample = sample
    training, held_out = run.training, run.held_out = sampling.split(sample, policy)
    if (reason := refusal(training, policy, bootstrap)) is not None:
        run.write(connection, "refused", reason)
        return run.result("refused", reason)
    # Asked before minutes of fitting are spent on what couldn't be kept.
    registry.require(settings)
    champion = registry.ask(settings)[registry.CHAMPION]
    card = _comparable(settings, champion)
    border = from_micros(sampling.split_at(sample, policy))
    run.tuning_id, parameters = chosen(connection, run.moment, border)
    ahead, ahead_later, edges = sampling.split_ahead(sample, policy)
    run.bundle = fit(training, policy, parameters, sample.step, ahead, edges)
    run.card = run.bundle.scorecard
    figures = evaluation.evaluate(run.card, held_out, sample.step)
    figures |= evaluation.evaluate_ahead(run.card, ahead_later)
    theirs: dict[str, float] = {}
    if card is not None:
        theirs = evaluation.evaluate(card, held_out, sample.step)
        theirs |= evaluation.evaluate_ahead(card, ahead_later)
        figures |= evaluation.differences(run.card, card, held_out)
    run.version, run.run_id = registry.register(
        settings, run.bundle, _example(training), _parameters(run), figures, tags=_tags(run), sample=sample.arrays()
    )
    run.champion = champion
    figures["bundle_mb"] = (registry.folder(settings, run.version) / registry.BUNDLE).stat().st_size / 1e6
    reason = _reason(training, run.bundle)
    stretch = (sampling.split_at(sample, policy), sample.until)
    with connection.transaction():
        run.write(connection, "trained", reason)
        reference.keep(connection, run.version, run.card, training, held_out)
        evaluation.store(connection, run.training_id, run.version, stretch, figures)
        if champion and theirs:
            evaluation.store(connection, run.training_id, champion, stretch, theirs)
        if bootstrap and card is None:
            before = "there was no champion" if champion is None else f"champion {champion} has other inputs"
            if not _first(settings, connection, run.version, champion, run.moment, f"{before}; {reason}"):
                reason += "; another became champion meanwhile and stays"
    return run.result("trained", reason)


def _comparable(settings: Settings, champion: str | None) -> Scorecard | None:
    if champion is None:
        return None
    try:
        return registry.load(settings, champion)
    except ContractError:
        # It can't score these rows; the gate then has nothing to compare with.
        return None


def refusal(training: Labelled, policy: Policy, bootstrap: bool) -> str | None:
    """Why nothing can be learnt from these rows, in words; None where it can."""
    rows, positives = len(training), int(training.positive.sum())
    # Where nothing has a baseline all rows look the same, and the next one that doesn't would be as strange as can be.
    known = np.isfinite(training.windows.x[:, _DEVIATIONS]).any(axis=1)
    normal = int((known & ~training.positive).sum())
    if normal < (200 if bootstrap else 1):
        return (
            f"{normal:,} rows of normal operation with a baseline before the held-out time: too few to know what is"
            " normal"
        )
    if bootstrap:
        return None
    if rows < policy.min_training_rows:
        return f"{rows:,} training rows, fewer than {policy.min_training_rows:,}"
    if positives == 0:
        return f"one class only: {rows:,} rows of normal operation and none of a fault"
    return None


def fit(
    training: Labelled,
    policy: Policy,
    parameters: dict[str, Any],
    step: int,
    ahead: Ahead | None = None,
    edges: ArrayLike = (),
) -> EquipmentAnomalyDetector:
    """The bundle fitted on `training`, whose normal rows stand for `step` minutes each, by the policy's seed and bands.

    `parameters` are those of its constructor. Without `ahead` (see `sampling.split_ahead`) it tells no time to failure.
    """
    from ml.bundle import EquipmentAnomalyDetector

    given: dict[str, Any] = {
        "seed": policy.seed, "weekly": policy.bands_weekly, "commissioning_windows": policy.commissioning_windows
    }  # fmt: skip
    return EquipmentAnomalyDetector(**given | parameters).fit(
        training.windows.x,
        training.action,
        equipment=training.windows.equipment,
        sample_weight=training.weight,
        ends=training.windows.ends,
        step=step,
        event=training.event,
        asked=training.asked,
        ahead=ahead,
        edges=edges,
    )


def _reason(training: Labelled, bundle: EquipmentAnomalyDetector) -> str:
    rows, positives = len(training), int(training.positive.sum())
    if bundle.classifier_ is None:
        return f"trained on {rows:,} rows without labels enough to learn faults from: the detector works alone"
    faults = ", ".join(str(name) for name in bundle.classes_ if name != "continue_operation")
    return f"trained on {rows:,} rows, {positives:,} of them with a known fault ({faults})"


def _example(training: Labelled) -> np.ndarray[Any, Any]:
    return np.nan_to_num(training.windows.x[:5], nan=0.0)


def _parameters(run: _Run) -> dict[str, Any]:
    assert run.sample is not None and run.bundle is not None  # registered only once it is fitted
    known = run.columns()
    return {
        "moment": run.moment.isoformat(),
        "since": known["since_ts"].isoformat(),
        "until": known["until_ts"].isoformat(),
        "held_out_from": known["held_out_from"].isoformat(),
        **{name: known[name] for name in ("training_rows", "positive_rows", "held_out_rows", "sample_rows")},
        "normal_rows_thinned_to_every": run.sample.step,
        "data_hash": known["data_hash"],
        "features": len(FEATURES),
        "contract": contract(),
        "tuning": run.tuning_id or "none: built-in parameters",
        **{f"bundle_{name}": value for name, value in run.bundle.get_params().items()},
        **{f"policy_{name}": value for name, value in run.policy.model_dump().items()},
    }


def _tags(run: _Run) -> dict[str, str]:
    known = run.columns()
    names = ("training_id", "snapshot", "system_identifier", "data_hash", "model_hash", "code_version", "code_hash")
    return {name: str(known[name]) for name in names} | {
        f"library.{name}": value for name, value in run.made.libraries.items()
    }


def _first(
    settings: Settings,
    connection: psycopg.Connection,
    version: str,
    before: str | None,
    moment: datetime,
    reason: str,
) -> bool:
    """Make `version` champion in the place of `before`; False where a gate made another one while it was trained."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('ml.gates'))")
    if registry.ask(settings)[registry.CHAMPION] != before:
        return False
    connection.execute(
        "INSERT INTO ml.promotions (moment, gate, candidate_version, criterion, passed, decision, reason)"
        " VALUES (%s, 'first_model', %s, 'decision', true, 'champion', %s)",
        (moment, version, reason),
    )
    # Last, so that no alias is left on a version that has no row.
    registry.set_aliases(settings, {registry.CHAMPION: version})
    return True
