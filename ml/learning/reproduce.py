"""Make a version again: draw its rows as of then, fit with its seed and parameters, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from ml import registry
from ml.errors import ModelError
from ml.features import micros
from ml.gates import evaluation
from ml.learning import card, sampling
from ml.learning.provenance import fingerprint, provenance
from ml.learning.sampling import Sample
from ml.learning.training import fit
from warehouse.roles import Role, connect
from warehouse.settings import Settings

# Figures of the machine that measures them, not of the model.
LOCAL = (*card.LOCAL, "bundle_mb")
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """A figure that came out otherwise."""

    metric: str
    then: float | None
    now: float | None


@dataclass(frozen=True)
class Reproduction:
    """What came of making a version again. `data`, `code` and `libraries` say in words what is other than then, if
    anything; `from_kept` where the rows were those that the run has kept, since a draw today finds others."""

    version: str
    differences: tuple[Difference, ...]
    same_model: bool
    from_kept: bool
    data: str | None
    code: str | None
    libraries: str | None
    figures: int

    @property
    def equal(self) -> bool:
        """Every figure is as it was."""
        return not self.differences

    def lines(self) -> list[str]:
        """In words, for the person at the command line."""
        rows = "the rows that its run has kept" if self.from_kept else "the rows as drawn again"
        model = "the same model, bit for bit" if self.same_model else "a model that is not the same bit for bit"
        verdict = f"all {self.figures} figures are equal" if self.equal else f"{len(self.differences)} figures differ"
        said = [f"version {self.version} from {rows}: {verdict}; {model}"]
        said += [f"  {d.metric}: {_say(d.then)} then, {_say(d.now)} now" for d in self.differences]
        for what, change in (("data", self.data), ("code", self.code), ("libraries", self.libraries)):
            said.append(f"{what}: {change or 'as then'}")
        return said


def reproduce(settings: Settings, version: str) -> Reproduction:
    """Make `version` again and compare the figures on its held-out time.

    Rows are drawn as of the training's moment. Where a draw finds others than then (late data that nobody scored, a
    changed work order, retention), the rows that the run has kept are fitted, so that code and libraries are still
    put to the test, and `data` says what differs. Raises ModelError where the version's training isn't known, or there
    are no rows of any kind.
    """
    with connect(settings, Role.SCORE, autocommit=True) as connection:
        training = card.training_of(connection, version)
        row, policy = training.row, training.policy
        kept = _kept(settings, row)
        drawn: Sample | None = None
        data: str | None
        try:
            drawn, _ = sampling.pinned(connection, row["moment"], policy, row["until_ts"])
            data = None if _is_then(drawn, row) else _changes(connection, drawn, kept, row)
        except ModelError as error:
            data = str(error)
    sample = drawn if data is None else kept or drawn
    if sample is None:
        raise ModelError(f"version {version} can't be made again: {data}, and its run has kept no rows")
    learnt, held_out = sampling.split(sample, policy)
    if not len(learnt):
        raise ModelError(f"version {version} can't be made again: no row is left that it learnt from")
    ahead, ahead_later, edges = sampling.split_ahead(sample, policy)
    made = fit(learnt, policy, row["parameters"], sample.step, ahead, edges).scorecard
    now = evaluation.evaluate(made, held_out, sample.step) | evaluation.evaluate_ahead(made, ahead_later)
    compared = {name: value for name, value in now.items() if name not in LOCAL and name in training.figures}
    differences = tuple(
        Difference(name, training.figures[name], _finite(value))
        for name, value in compared.items()
        if not _equal(training.figures[name], _finite(value))
    )
    return Reproduction(
        version, differences, fingerprint(made) == row["model_hash"], sample is kept, data, _code(row), _libraries(row),
        len(compared),
    )  # fmt: skip


def _kept(settings: Settings, row: dict[str, Any]) -> Sample | None:
    arrays = registry.sample_of(settings, row["mlflow_run_id"])
    if arrays is None:
        return None
    sample = Sample.from_arrays(arrays)
    # A file that somebody changed is no witness.
    return sample if sample.hash() == row["data_hash"] else None


def _is_then(sample: Sample, row: dict[str, Any]) -> bool:
    extent = (sample.since, sample.until) == (micros(row["since_ts"]), micros(row["until_ts"]))
    return extent and sample.hash() == row["data_hash"]


def _changes(connection: psycopg.Connection, drawn: Sample, kept: Sample | None, row: dict[str, Any]) -> str:
    words = []
    if drawn.hash() != row["data_hash"]:
        words = [
            f"{len(drawn.rows):,} rows with hash {drawn.hash()}, then {row['sample_rows']:,} with {row['data_hash']}"
        ]
    if kept is None:
        words.append("the run has kept no rows to compare with")
    else:
        words += compare(kept, drawn)
    rebuilt = connection.execute(
        "SELECT count(*) FROM marts.gold_ml_features AS g, pg_control_system() AS c WHERE g.window_end <= %(moment)s"
        " AND c.system_identifier = %(system_identifier)s"
        " AND NOT pg_visible_in_snapshot(g.built_xid, %(snapshot)s::pg_snapshot)",
        row,
    ).fetchone()
    if rebuilt and rebuilt[0]:
        words.append(f"{rebuilt[0]:,} rows of the mart were built again since its snapshot")
    return "; ".join(words)


def compare(then: Sample, now: Sample) -> list[str]:
    """In words, how the rows of two samples differ."""
    mine, theirs = _by_key(then), _by_key(now)
    both = [(mine[key], theirs[key]) for key in mine if key in theirs]
    one, other = then.rows.take(np.array([a for a, _ in both], int)), now.rows.take(np.array([b for _, b in both], int))
    same = (one.windows.x == other.windows.x) | (np.isnan(one.windows.x) & np.isnan(other.windows.x))
    labels = (one.action != other.action) | (one.weight != other.weight) | _unlike(one.hours, other.hours)
    counted = {
        "are gone": len(mine) - len(both),
        "are new": len(theirs) - len(both),
        "have other features": int((~same.all(axis=1)).sum()),
        "have another label": int(labels.sum()),
        "stand for other minutes": int(((one.minutes != other.minutes) | (one.asked != other.asked)).sum()),
        "have a label that was known at another time": int((one.known != other.known).sum()),
    }
    words = [f"{count:,} {what}" for what, count in counted.items() if count]
    if (then.since, then.until) != (now.since, now.until):
        words.append("the mart begins or ends elsewhere, which moves the held-out time")
    if then.step != now.step:
        words.append(f"normal rows are thinned to every {now.step} minutes, then {then.step}")
    if [event.at for event in then.events] != [event.at for event in now.events]:
        words.append(f"{len(now.events)} failures and work orders are known, then {len(then.events)}")
    return words


def _unlike(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(~((one == other) | (np.isnan(one) & np.isnan(other))))


def _by_key(sample: Sample) -> dict[tuple[str, int], int]:
    windows = sample.rows.windows
    keys = zip(windows.equipment.astype(str), windows.ends.tolist(), strict=True)
    return {key: index for index, key in enumerate(keys)}


def _code(row: dict[str, Any]) -> str | None:
    made = provenance()
    if made.code_hash == row["code_hash"]:
        return None
    return f"ml/ is {made.code_hash} of {made.code_version}, then {row['code_hash']} of {row['code_version']}"


def _libraries(row: dict[str, Any]) -> str | None:
    then, now = row["libraries"] or {}, provenance().libraries
    changed = [f"{name} {now.get(name)}, then {then.get(name)}" for name in sorted({*then, *now})
               if then.get(name) != now.get(name)]  # fmt: skip
    return "; ".join(changed) or None


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _equal(then: float | None, now: float | None) -> bool:
    if then is None or now is None:
        return then is now
    return abs(then - now) <= TOLERANCE * max(1.0, abs(then))


def _say(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.9g}"
