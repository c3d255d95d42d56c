"""Score what is new in the feature mart, and keep the vector that each score was made from."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from ml import features, registry, watermark
from ml.errors import ContractError, NoChampionError, RegistryError
from ml.features import AVERAGES, FEATURES, NEEDED, Windows
from ml.gates import decisions
from ml.scorecard import Scorecard, Scores
from warehouse.roles import Role, connect
from warehouse.settings import Settings

PIPELINE = "score"
FIRST_RUN = timedelta(hours=1)
# Older windows are scored again where late data changed what was scored, not because history was landed or rebuilt.
OLDEST = timedelta(days=7)
CHUNK = 20_000
_NO_CHAMPION = "there is no champion yet: python -m ml train --bootstrap makes the first one"
_log = logging.getLogger(__name__)

_FITTING = "g.is_running AND g.in_maintenance IS NOT TRUE"
_NEW = (
    "FROM marts.gold_ml_features AS g WHERE " + _FITTING + " AND g.window_end <= %(moment)s"
    " AND ((g.built_xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)"
    " AND NOT pg_visible_in_snapshot(g.built_xid, %(since)s::pg_snapshot))"
    # A slow run leaves windows later than its moment in the mart: seen by the last run, but not taken.
    " OR g.window_end > %(taken_to)s)"
    " AND (g.window_end > %(oldest)s OR EXISTS (SELECT FROM ml.scores AS s WHERE s.equipment_id = g.equipment_id"
    " AND s.window_end = g.window_end AND s.role = 'champion' AND s.superseded_at IS NULL))"
    " ORDER BY g.window_end, g.equipment_id"
)
_FIRST = (
    "FROM marts.gold_ml_features AS g WHERE " + _FITTING + " AND g.window_end <= %(moment)s"
    " AND g.window_end > %(after)s ORDER BY g.window_end, g.equipment_id"
)
# Late data may also say that the machine stood or was maintained: then there is nothing to score in its place.
_UNFIT = (
    "UPDATE ml.scores AS s SET superseded_at = clock_timestamp() FROM marts.gold_ml_features AS g"
    " WHERE g.built_xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)"
    " AND NOT pg_visible_in_snapshot(g.built_xid, %(since)s::pg_snapshot) AND (" + _FITTING + ") IS NOT TRUE"
    " AND s.equipment_id = g.equipment_id AND s.window_end = g.window_end AND s.role <> 'replayed'"
    " AND s.superseded_at IS NULL RETURNING s.role"
)
_BETWEEN = (
    "FROM marts.gold_ml_features AS g WHERE " + _FITTING + " AND g.window_end > %(after)s"
    " AND g.window_end <= %(until)s ORDER BY g.window_end, g.equipment_id"
)


@dataclass(frozen=True)
class ScoringResult:
    """What a run did; `versions` are those that scored, by role."""

    windows: int
    scored: int
    superseded: int
    versions: dict[str, str] = field(default_factory=dict)
    registry_away: bool = False
    seconds: float = 0.0


def score(settings: Settings, moment: datetime) -> ScoringResult:
    """Score every window up to `moment` that the mart has newly built; the first run ever takes the last hour.

    Windows older than a week are scored only if they were before: landing or rebuilding history is no news.

    One transaction: scores, their vectors and the watermark. A run for the same moment finds nothing new. The
    challenger scores the same windows in shadow; one that sees other features loses its place. Raises NoChampionError
    before the first model, ContractError where the champion is one that sees other features.
    """
    began = time.perf_counter()
    aliases = registry.aliases(settings)
    champion = aliases[registry.CHAMPION]
    if champion is None:
        raise NoChampionError(_NO_CHAMPION)
    cards = {registry.CHAMPION: (champion, _load(settings, champion))}
    challenger = aliases[registry.CHALLENGER]
    if challenger is not None and challenger != champion:
        # One that can't be had or sees other features must not keep the champion from scoring.
        try:
            cards[registry.CHALLENGER] = (challenger, _load(settings, challenger))
        except ContractError:
            _dismiss(settings, challenger, moment)
        except RegistryError as error:
            _log.warning("no shadow scores this time: %s", error)
    with _alone(settings) as connection:
        features.require_mart(connection, needed=(*NEEDED, *AVERAGES.values()))
        read = watermark.pin(connection, PIPELINE)
        parameters = {
            "moment": moment, "since": read.since, "taken_to": read.moment, "after": moment - FIRST_RUN,
            "oldest": moment - OLDEST,
        }  # fmt: skip
        source = _NEW if read.since else _FIRST
        windows, averages = features.read_beside(connection, source, parameters, AVERAGES.values())
        scored = 0
        superseded = 0 if read.since is None else _champions(connection.execute(_UNFIT, parameters))
        for start in range(0, len(windows), CHUNK):
            part = windows.take(np.arange(start, min(start + CHUNK, len(windows))))
            shown = averages[start : start + CHUNK]
            vectors = [json.dumps(vector(x)) for x in part.x]
            superseded += _supersede(connection, part, shown, vectors)
            for role, (version, card) in cards.items():
                scores = card.score(part.x, part.equipment)
                new = _store(connection, part, shown, vectors, scores, version, role, moment, card.contract)
                scored += new if role == registry.CHAMPION else 0
        watermark.move(connection, read, moment)
        seconds = time.perf_counter() - began
        result = ScoringResult(
            len(windows), scored, superseded, {role: version for role, (version, _) in cards.items()},
            aliases.registry_away, seconds,
        )  # fmt: skip
        _measure(connection, result)
    return result


@contextmanager
def _alone(settings: Settings) -> Iterator[psycopg.Connection]:
    """One transaction on one snapshot, taken when no other scoring is under way: both would score the same windows."""
    with connect(settings, Role.SCORE, autocommit=True) as connection:
        # Outside the transaction: its first statement would take the snapshot, and then wait.
        connection.execute("SELECT pg_advisory_lock(hashtext('ml.score'))")
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            yield connection


def replay(settings: Settings, since: datetime, until: datetime, moment: datetime, version: str | None = None) -> int:
    """Score the windows after `since` up to `until` as role 'replayed', a day a transaction; returns how many.

    Nothing is published from them. Their vectors are not kept: the mart's row is the vector. A second run of the same
    stretch replaces the first one's scores.
    """
    version = version or registry.aliases(settings)[registry.CHAMPION]
    if version is None:
        raise NoChampionError(_NO_CHAMPION)
    card = _load(settings, version)
    total = 0
    with connect(settings, Role.SCORE) as connection:
        features.require_mart(connection)
        while since < until:
            chunk_end = min(since + timedelta(days=1), until)
            windows = features.read(connection, _BETWEEN, {"after": since, "until": chunk_end})
            connection.execute(
                "UPDATE ml.scores SET superseded_at = clock_timestamp() WHERE role = 'replayed' AND model_version = %s"
                " AND superseded_at IS NULL AND window_end > %s AND window_end <= %s",
                (version, since, chunk_end),
            )
            _copy_replayed(connection, windows, card.score(windows.x, windows.equipment), version, moment)
            connection.commit()
            total += len(windows)
            since = chunk_end
    return total


def _load(settings: Settings, version: str) -> Scorecard:
    try:
        return registry.load(settings, version)
    except ContractError as error:
        raise ContractError(f"{error}: train again by python -m ml train --bootstrap") from error


def _dismiss(settings: Settings, challenger: str, moment: datetime) -> None:
    """Take its place from a challenger that can't score, which is said once: it isn't looked at again."""
    try:
        if (decision := decisions.dismiss(settings, challenger, moment)) is not None:
            _log.warning("version %s is challenger no more: %s", challenger, decision.reason)
    except RegistryError as error:
        _log.warning("no shadow scores; version %s stays challenger until the registry answers: %s", challenger, error)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _row(windows: Windows, scores: Scores, row: int) -> tuple[Any, ...]:
    return (
        str(windows.equipment[row]), windows.end(row), float(scores.anomaly[row]), float(scores.unsupervised[row]),
        float(scores.supervised[row]), str(scores.action[row]), float(scores.confidence[row]),
        _known(scores.hours_to_failure[row]), _known(scores.ttf_low[row]), _known(scores.ttf_high[row]),
        _known(scores.failure_24h[row]), _known(scores.failure_72h[row]), _known(scores.failure_7d[row]),
        bool(windows.over_gap[row]), bool(scores.precedent[row]),
    )  # fmt: skip


def vector(x: np.ndarray[Any, Any]) -> dict[str, float | None]:
    """A feature row by name, NaN as None, as it is kept beside its score."""
    return {name: None if value != value else value for name, value in zip(FEATURES, x.tolist(), strict=True)}


def _columns(averages: NDArray[np.float64]) -> list[list[float | None]]:
    return [[_known(value) for value in column] for column in averages.T]


def _document(vectors: list[str]) -> str:
    """One JSON array: as an array of Postgres each of their quotes would have to be escaped, which took a second."""
    return f"[{','.join(vectors)}]"


def _champions(marked: psycopg.Cursor[Any]) -> int:
    """How many of the scores that a statement marked were the champion's."""
    return sum(role == registry.CHAMPION for (role,) in marked)


def _supersede(
    connection: psycopg.Connection, windows: Windows, averages: NDArray[np.float64], vectors: list[str]
) -> int:
    """Mark the scores, of any version, that were made from another vector of a window, other averages or without its
    gap; returns how many were the champion's.

    A window that was built again from the same readings keeps its score. Averages change without the vector where a
    machine has no baseline yet; a score that has none may be older than their columns, and isn't judged by them.
    """
    ends = [windows.end(row) for row in range(len(windows))]
    marked = connection.execute(
        """
        WITH made AS MATERIALIZED (
            SELECT s.score_id
            FROM ROWS FROM (
                unnest(%s::text[], %s::timestamptz[], %s::boolean[], %s::float8[], %s::float8[], %s::float8[]),
                jsonb_array_elements(%s::jsonb)
            ) AS w (equipment_id, window_end, over_gap, temperature, vibration, throughput, features)
            JOIN ml.scores AS s USING (equipment_id, window_end)
            LEFT JOIN ml.scored_features AS f USING (score_id)
            WHERE s.superseded_at IS NULL AND s.role <> 'replayed'
                AND (
                    f.features IS DISTINCT FROM w.features OR s.over_gap <> w.over_gap
                    OR num_nonnulls(s.temp_avg_5min, s.vibration_avg_5min, s.throughput_avg_5min) > 0
                    AND (s.temp_avg_5min, s.vibration_avg_5min, s.throughput_avg_5min)
                    IS DISTINCT FROM (w.temperature, w.vibration, w.throughput)
                )
        )
        UPDATE ml.scores AS s SET superseded_at = clock_timestamp() FROM made WHERE s.score_id = made.score_id
        RETURNING s.role
        """,
        (windows.equipment.tolist(), ends, windows.over_gap.tolist(), *_columns(averages), _document(vectors)),
    )
    return _champions(marked)


def _store(
    connection: psycopg.Connection,
    windows: Windows,
    averages: NDArray[np.float64],
    vectors: list[str],
    scores: Scores,
    version: str,
    role: str,
    moment: datetime,
    contract: str,
) -> int:
    """Store the scores of windows that have none in this role; returns how many.

    A challenger's are those of its version. A champion's stand when another becomes champion: a window has one.
    """
    if not len(windows):
        return 0
    current = connection.execute(
        """
        SELECT s.equipment_id, s.window_end
        FROM unnest(%s::text[], %s::timestamptz[]) AS w (equipment_id, window_end)
        JOIN ml.scores AS s USING (equipment_id, window_end)
        WHERE s.role = %s AND (s.model_version = %s OR s.role = 'champion') AND s.superseded_at IS NULL
        """,
        (windows.equipment.tolist(), [windows.end(i) for i in range(len(windows))], role, version),
    )
    known = set(current.fetchall())
    fresh = [row for row in range(len(windows)) if (str(windows.equipment[row]), windows.end(row)) not in known]
    rows = [_row(windows, scores, index) for index in fresh]
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(
            """
            WITH scored AS (
                INSERT INTO ml.scores (equipment_id, window_end, anomaly_score, unsupervised_score, supervised_score,
                    action_code, confidence, estimated_ttf, ttf_low, ttf_high, failure_24h, failure_72h, failure_7d,
                    over_gap, precedent, temp_avg_5min, vibration_avg_5min, throughput_avg_5min, model_version, role,
                    moment)
                SELECT w.*, %s, %s, %s
                FROM unnest(%s::text[], %s::timestamptz[], %s::float8[], %s::float8[], %s::float8[], %s::text[],
                    %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::float8[],
                    %s::boolean[], %s::boolean[], %s::float8[], %s::float8[], %s::float8[]) AS w
                RETURNING score_id, equipment_id, window_end
            )
            INSERT INTO ml.scored_features (score_id, equipment_id, window_end, features, contract)
            SELECT score_id, equipment_id, window_end, v.features, %s
            FROM scored JOIN ROWS FROM (unnest(%s::text[], %s::timestamptz[]), jsonb_array_elements(%s::jsonb))
                AS v (equipment_id, window_end, features) USING (equipment_id, window_end)
            """,
            (
                version, role, moment, *columns, *_columns(averages[fresh]), contract, columns[0], columns[1],
                _document([vectors[index] for index in fresh]),
            ),
        )  # fmt: skip
    return len(fresh)


def _copy_replayed(
    connection: psycopg.Connection, windows: Windows, scores: Scores, version: str, moment: datetime
) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY ml.scores (equipment_id, window_end, anomaly_score, unsupervised_score, supervised_score,"
            " action_code, confidence, estimated_ttf, ttf_low, ttf_high, failure_24h, failure_72h, failure_7d,"
            " over_gap, precedent, model_version, role, moment) FROM STDIN"
        ) as copy,
    ):
        for row in range(len(windows)):
            copy.write_row((*_row(windows, scores, row), version, "replayed", moment))


def _measure(connection: psycopg.Connection, result: ScoringResult) -> None:
    figures = {
        "score_s": result.seconds,
        "windows": float(result.windows),
        "superseded": float(result.superseded),
        "registry_away": float(result.registry_away),
    }
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value, labels) VALUES ('score', %s, %s, %s)",
            [(metric, value, json.dumps(result.versions)) for metric, value in figures.items()],
        )
