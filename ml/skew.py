"""Do the stored vectors of a day still give the stored scores, and does the mart hold the vectors that were scored?

If not, something stands between a score and its reasons: other code, another bundle under the same version, a vector
that somebody changed, or a mart that was built in another way than it was scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from ml import features, registry
from ml.errors import ModelError, RegistryError
from ml.features import FEATURES
from warehouse.roles import Role, connect
from warehouse.settings import Settings

CHECKPOINT = "skew"
REPEAT, BESIDE = "scores_repeat", "vectors_are_the_marts"
# The same sums in another order may differ in the last bits.
TOLERANCE = 1e-9
CHUNK = 20_000
# Columns of `ml.scores`, and what of a `Scores` they hold.
_NUMBERS = {
    "anomaly_score": "anomaly", "unsupervised_score": "unsupervised", "supervised_score": "supervised",
    "confidence": "confidence", "estimated_ttf": "hours_to_failure", "ttf_low": "ttf_low", "ttf_high": "ttf_high",
    "failure_24h": "failure_24h", "failure_72h": "failure_72h", "failure_7d": "failure_7d",
}  # fmt: skip
_STORED = (
    "SELECT s.equipment_id, s.window_end, f.features, s.action_code, s.precedent,"
    f" {', '.join(f's.{name}' for name in _NUMBERS)}"
    " FROM ml.scores AS s JOIN ml.scored_features AS f USING (score_id)"
    " WHERE s.window_end > %(since)s AND s.window_end <= %(until)s AND s.model_version = %(version)s"
    # Hashed, so that every machine and time of day has its share.
    " AND f.contract = %(contract)s AND abs(hashint8(s.score_id)::bigint) %% %(every)s = 0"
)
_MART = (
    "FROM unnest(%(machines)s::text[], %(ends)s::timestamptz[]) AS w (machine, window_end)"
    " JOIN marts.gold_ml_features AS g ON g.equipment_id = w.machine AND g.window_end = w.window_end"
)


@dataclass(frozen=True)
class Check:
    """One comparison: how many of so many differ, and by how much at most."""

    expectation: str
    subject: str
    compared: int
    differing: int
    largest: float
    detail: str

    @property
    def succeeded(self) -> bool:
        return self.differing == 0

    @property
    def observed(self) -> dict[str, float | None]:
        """The figures, as JSON takes them: it knows no infinity."""
        largest = self.largest if np.isfinite(self.largest) else None
        return {"compared": self.compared, "differing": self.differing, "largest": largest}


@dataclass(frozen=True)
class SkewResult:
    """All comparisons of a stretch, and in words those that could not be made.

    A score that doesn't come out again is a failure; a mart that has moved on is a warning, for late data may do that.
    """

    checks: tuple[Check, ...]
    untold: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        return [c.detail for c in self.checks if not c.succeeded and c.expectation == REPEAT]

    @property
    def warnings(self) -> list[str]:
        return [*self.untold, *(c.detail for c in self.checks if not c.succeeded and c.expectation == BESIDE)]

    @property
    def succeeded(self) -> bool:
        return not self.failures


def day_of(moment: datetime, day: str | None = None) -> tuple[datetime, datetime]:
    """Where a day (YYYY-MM-DD, UTC) begins and ends, by default the one before `moment`'s; ModelError for no date."""
    if day is None:
        until = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return until - timedelta(days=1), until
    try:
        since = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ModelError(f"--day must be a date such as 2026-01-31. Got: {day!r}") from error
    return since, since + timedelta(days=1)


def check(settings: Settings, since: datetime, until: datetime, moment: datetime, most: int = 50_000) -> SkewResult:
    """Score the stored vectors after `since` up to `until` again, with the versions that scored them.

    At most about `most` a version, an even share of them; a row a version and comparison in `ops.data_quality_results`.
    Superseded scores are made again as well: they are what somebody saw. Only standing ones are held beside the mart,
    where a window that late data touched differs until it is scored again.
    """
    checks: list[Check] = []
    untold: list[str] = []
    with connect(settings, Role.SCORE) as connection:
        stretch = {"since": since, "until": until, "contract": features.contract()}
        counted = connection.execute(
            "SELECT s.model_version, count(*), count(*) FILTER (WHERE f.contract <> %(contract)s)"
            " FROM ml.scores AS s JOIN ml.scored_features AS f USING (score_id)"
            " WHERE s.window_end > %(since)s AND s.window_end <= %(until)s GROUP BY 1 ORDER BY 1",
            stretch,
        ).fetchall()
        for version, count, foreign in counted:
            if foreign:
                untold.append(f"version {version}: {foreign:,} vectors of another feature contract were left out")
            if foreign == count:
                continue
            try:
                card = registry.load(settings, version)
            except RegistryError as error:
                untold.append(f"version {version} can't be had, so {count:,} scores were not made again: {error}")
                continue
            share = {"version": version, "every": max(1, count // most)}
            checks.append(_again(connection, card.score, version, stretch | share))
        total = sum(count for _, count, _ in counted)
        checks += _beside_the_mart(connection, stretch | {"every": max(1, total // most)})
        _record(connection, checks, moment)
    return SkewResult(tuple(checks), tuple(untold))


def _again(connection: psycopg.Connection, score: Any, version: str, parameters: dict[str, Any]) -> Check:
    compared, differing, largest, first = 0, 0, 0.0, ""
    with connection.cursor(name="stored") as cursor:
        cursor.execute(_STORED, parameters)
        while rows := cursor.fetchmany(CHUNK):
            x = np.array([_row(row[2]) for row in rows])
            scores = score(x, np.array([row[0] for row in rows], dtype=object))
            stored = np.array([[np.nan if value is None else value for value in row[5:]] for row in rows], float)
            apart = difference(stored, np.column_stack([getattr(scores, name) for name in _NUMBERS.values()]))
            other = (apart > TOLERANCE) | (scores.action.astype(str) != np.array([row[3] for row in rows]))
            # Whether there was a precedent wasn't kept with every score.
            other |= [row[4] not in (None, known) for row, known in zip(rows, scores.precedent.tolist(), strict=True)]
            compared, differing, largest = compared + len(rows), differing + int(other.sum()), max(largest, apart.max())
            if not first and other.any():
                row = rows[int(other.argmax())]
                first = f", first {row[0]} at {row[1]:%Y-%m-%d %H:%M}"
    words = f"version {version}: {differing:,} of {compared:,} scores don't come out again from their vectors{first}"
    return Check(REPEAT, f"version {version}", compared, differing, float(largest), words)


def _row(vector: dict[str, float | None]) -> list[float]:
    values = (vector.get(name) for name in FEATURES)
    return [np.nan if value is None else value for value in values]


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest difference in each row (n,) of two arrays (n, k), relative above 1; infinite where one is NaN."""
    apart = np.abs(one - other) / np.maximum(1.0, np.abs(one))
    missing = np.isnan(one), np.isnan(other)
    apart = np.where(missing[0] & missing[1], 0.0, np.where(missing[0] ^ missing[1], np.inf, apart))
    return np.asarray(apart.max(axis=1))


def _beside_the_mart(connection: psycopg.Connection, parameters: dict[str, Any]) -> list[Check]:
    rows = connection.execute(
        "SELECT s.equipment_id, s.window_end, f.features"
        " FROM ml.scores AS s JOIN ml.scored_features AS f USING (score_id)"
        " WHERE s.window_end > %(since)s AND s.window_end <= %(until)s AND s.role = 'champion'"
        " AND s.superseded_at IS NULL AND f.contract = %(contract)s"
        " AND abs(hashint8(s.score_id)::bigint) %% %(every)s = 0",
        parameters,
    ).fetchall()
    if not rows:
        return []
    features.require_mart(connection)
    mart = features.read(connection, _MART, {"machines": [r[0] for r in rows], "ends": [r[1] for r in rows]})
    place = {(machine, features.micros(end)): i for i, (machine, end, _) in enumerate(rows)}
    order = [place[str(machine), int(end)] for machine, end in zip(mart.equipment, mart.ends, strict=True)]
    if not order:
        return []
    apart = difference(np.array([_row(rows[i][2]) for i in order]), mart.x)
    differing = int((apart > TOLERANCE).sum())
    words = f"{differing:,} of {len(order):,} scored windows have another vector in the mart by now"
    if differing:
        row = rows[order[int((apart > TOLERANCE).argmax())]]
        words += f", first {row[0]} at {row[1]:%Y-%m-%d %H:%M}"
    return [Check(BESIDE, features.MART, len(order), differing, float(apart.max()), words)]


def _record(connection: psycopg.Connection, checks: list[Check], moment: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.data_quality_results (checkpoint, moment, expectation, subject, succeeded, blocking,"
            " observed, detail) VALUES (%s, %s, %s, %s, %s, false, %s, %s)",
            [
                (
                    CHECKPOINT, moment, check.expectation, check.subject, check.succeeded, Jsonb(check.observed),
                    check.detail,
                )
                for check in checks
            ],
        )  # fmt: skip
