"""Past recommendations and answers, from the files of whatever was there before."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from ml.errors import HistoryFileError
from ml.labels import ACTIONS
from warehouse.roles import Role, connect
from warehouse.settings import Settings

SEVERITIES = ("minor", "significant", "critical")
# What is imported is over: a pending one would be news.
STATUSES = ("executed", "deferred", "rejected", "expired")
ANSWERS = ("executed", "deferred", "rejected", "ask_ai_why")


def _text(given: str) -> str:
    if not given:
        raise ValueError("must not be empty")
    return given


def _number(given: str) -> float:
    try:
        value = float(given)
    except ValueError:
        raise ValueError("must be a number") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("must be a finite number")
    return value


def _moment(given: str) -> datetime:
    try:
        value = datetime.fromisoformat(given)
    except ValueError:
        raise ValueError("must be an ISO 8601 timestamp such as 2026-01-31T08:00:00Z") from None
    if value.tzinfo is None:
        raise ValueError("must carry a time zone such as Z or +01:00")
    return value


def _boolean(given: str) -> bool:
    if given.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return given.lower() == "true"


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(given: str) -> str:
        if given not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return given

    return read


def _optional(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda given: read(given) if given else None


RECOMMENDATION: dict[str, Callable[[str], Any]] = {
    "recommendation_id": _text,
    "equipment_id": _text,
    "timestamp": _moment,
    "anomaly_score": _number,
    "severity": _one_of(*SEVERITIES),
    "action_code": _one_of(*ACTIONS),
    "recommendation_text": _text,
    "confidence": _number,
    "estimated_ttf": _optional(_number),
    "temp_avg_5min": _optional(_number),
    "vibration_avg_5min": _optional(_number),
    "throughput_avg_5min": _optional(_number),
    "status": _one_of(*STATUSES),
    "model_version": _text,
}
ANSWER: dict[str, Callable[[str], Any]] = {
    "feedback_id": _text,
    "recommendation_id": _optional(_text),
    "equipment_id": _text,
    "recommendation_timestamp": _moment,
    "action_code": _optional(_one_of(*ACTIONS)),
    "anomaly_score": _optional(_number),
    "operator_action": _one_of(*ANSWERS),
    "operator_id": _optional(_text),
    "action_timestamp": _moment,
    "operator_notes": _optional(_text),
    "shift": _optional(_text),
    "session_id": _optional(_text),
    "asked_genie": _optional(_boolean),
}


@dataclass(frozen=True)
class ImportResult:
    """How many rows were new."""

    recommendations: int
    answers: int


def import_history(settings: Settings, recommendations: Path, answers: Path) -> ImportResult:
    """Load both files, whole or not at all; rows that are there already are left alone. Nothing is announced.

    Raises HistoryFileError with file, line, column and what is allowed.
    """
    past = _read(recommendations, RECOMMENDATION)
    given = _read(answers, ANSWER)
    known = {row["recommendation_id"] for row in past}
    with connect(settings, Role.SCORE) as connection:
        for line, row in enumerate(given, start=2):
            name = row["recommendation_id"]
            if name is not None and name not in known and not _exists(connection, name):
                raise HistoryFileError(
                    f"{answers}, line {line}, column recommendation_id: must be in {recommendations} or the warehouse."
                    f" Got: {name!r}"
                )
        without_status = [name for name in RECOMMENDATION if name != "status"]
        _insert(connection, "ml.recommendations", without_status, past, "recommendation_id")
        new = _insert(connection, "serving.recommendations_serving", list(RECOMMENDATION), past, "recommendation_id")
        # As if it had been written when it was given, so that a training as of then sees it.
        dated = [row | {"created_at": row["action_timestamp"]} for row in given]
        answered = _insert(connection, "serving.operator_answers", [*ANSWER, "created_at"], dated, "feedback_id")
    return ImportResult(new, answered)


def _exists(connection: psycopg.Connection, recommendation_id: str) -> bool:
    statement = "SELECT FROM serving.recommendations_serving WHERE recommendation_id = %s"
    return connection.execute(statement, (recommendation_id,)).fetchone() is not None


def _insert(
    connection: psycopg.Connection, table: str, columns: list[str], rows: list[dict[str, Any]], key: str
) -> int:
    schema, name = table.split(".")
    statement = psycopg.sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO NOTHING").format(
        psycopg.sql.Identifier(schema, name),
        psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(column) for column in columns),
        psycopg.sql.SQL(", ").join(psycopg.sql.Placeholder(column) for column in columns),
        psycopg.sql.Identifier(key),
    )
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
        return max(cursor.rowcount, 0)


def _read(path: Path, columns: dict[str, Callable[[str], Any]]) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise HistoryFileError(
                    f"{path}, line 1: missing column {', '.join(missing)}; needed: {', '.join(columns)}"
                )
            return [_row(path, number, row, columns) for number, row in enumerate(reader, start=2)]
    except (OSError, UnicodeDecodeError) as error:
        raise HistoryFileError(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}") from error


def _row(
    path: Path, number: int, row: dict[str, str | None], columns: dict[str, Callable[[str], Any]]
) -> dict[str, Any]:
    values = {}
    for name, read in columns.items():
        given = (row[name] or "").strip()
        try:
            values[name] = read(given)
        except ValueError as error:
            raise HistoryFileError(f"{path}, line {number}, column {name}: {error}. Got: {given!r}") from error
    return values
