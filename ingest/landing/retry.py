"""Rejected readings tried again: what plant.yml makes usable by now lands, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ingest.landing import events
from ingest.landing.gaps import cover
from ingest.landing.rejected import Wanted
from ingest.landing.trouble import Trouble, diagnose
from ingest.plant import Plant
from ingest.readings import LIVE, NO_TIME, NUMBER, TEXT, Readings, empty_rows, to_us
from warehouse.roles import Role, connect
from warehouse.settings import Settings

_A_TRANSACTION: Final = 1000
_NUMERIC: Final = ("double", "integer", "boolean")
_PAGE: Final = sql.SQL(
    "SELECT r.* FROM raw.rejected_events AS r WHERE r.landed_at IS NULL AND r.rejected_id > {} AND r.rejected_id <= {}"
    " AND {} ORDER BY r.rejected_id LIMIT {} FOR UPDATE"
)


@dataclass
class Retried:
    """What became of rejected readings: landed, there already, and by reason those that still can't be used."""

    landed: int = 0
    there: int = 0
    unusable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Usable:
    rejected_id: int
    tag_id: int
    row: dict[str, Any]


def retry(settings: Settings, plant: Plant, wanted: Wanted, moment: datetime) -> Retried:
    """Land what is usable by now, a thousand readings a transaction; they are marked as landed at `moment`.

    Nothing raises an alert, and a reading keeps its origin. Stopped in between, it can be run again.
    """
    outcome = Retried()
    with connect(settings, Role.INGEST, autocommit=True) as connection:
        row = connection.execute("SELECT coalesce(max(rejected_id), 0) FROM raw.rejected_events").fetchone()
        assert row is not None
        done, last = 0, row[0]
        while True:
            with connection.transaction():
                cursor = connection.cursor(row_factory=dict_row)
                query = _PAGE.format(done, last, wanted.condition, _A_TRANSACTION)
                page: list[dict[str, Any]] = cursor.execute(query).fetchall()
                if not page:
                    return outcome
                done = page[-1]["rejected_id"]
                _try(connection, plant, page, moment, outcome)


def _try(
    connection: psycopg.Connection, plant: Plant, page: Sequence[dict[str, Any]], moment: datetime, outcome: Retried
) -> None:
    tags = _tags(connection, page)
    usable: list[_Usable] = []
    for row in page:
        judged = _judge(row, tags, plant)
        if isinstance(judged, str):
            outcome.unusable[judged] += 1
        else:
            usable.append(_Usable(row["rejected_id"], judged, row))
    for origin in sorted({reading.row["origin"] for reading in usable}):
        _land(connection, [reading for reading in usable if reading.row["origin"] == origin], origin, moment, outcome)


def _tags(connection: psycopg.Connection, page: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tags that the readings of `page` may belong to: their own, and what has taken their nodes over."""
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(
        "SELECT t.* FROM raw.tags AS t WHERE t.tag_id = ANY(%(ids)s) OR (t.server, t.node_id) IN"
        " (SELECT o.server, o.node_id FROM raw.tags AS o WHERE o.tag_id = ANY(%(ids)s))",
        {"ids": [row["tag_id"] for row in page if row["tag_id"] is not None]},
    ).fetchall()


def _judge(row: dict[str, Any], tags: Sequence[dict[str, Any]], plant: Plant) -> int | str:
    """The tag that the reading can land under, or why it can't."""
    if row["origin"] == "backfill":
        return "from a file: repeat `python -m ingest backfill`"
    if row["kind"] not in ("null", "number", "text"):
        return str(row["reason"])
    if row["source_ts"] is None:
        return "no source timestamp that a calendar holds"
    server = plant.servers.get(row["server"])
    if server is None:
        return f"server {row['server']!r} isn't in the plant file"
    # Judged as when it came: a time in the future doesn't become right by waiting.
    received = row["received_at"] or row["rejected_at"]
    if row["source_ts"] > received + timedelta(seconds=server.future_tolerance_s):
        return f"source timestamp more than {server.future_tolerance_s} s ahead of the clock"
    if row["origin"] == LIVE and row["source_ts"] < received - timedelta(days=server.oldest_value_days):
        return f"source timestamp older than {server.oldest_value_days} days"
    own = next((tag for tag in tags if tag["tag_id"] == row["tag_id"] and tag["server"] == row["server"]), None)
    if own is None:
        return "no such tag"
    if _fits(row, own) and (own["valid_to"] is None or row["source_ts"] < own["valid_to"]):
        return int(own["tag_id"])
    # A tag whose type was corrected is a new one; one that means something else now isn't the reading's.
    same = ("server", "node_id", "equipment_id", "measurement", "position", "role", "unit")
    heir = next((t for t in tags if t["valid_to"] is None and all(t[key] == own[key] for key in same)), None)
    if heir is None:
        return "its tag is retired"
    if not _fits(row, heir):
        return "text where plant.yml says a number"
    return int(heir["tag_id"])


def _fits(row: dict[str, Any], tag: dict[str, Any]) -> bool:
    return row["kind"] != "text" or tag["data_type"] not in _NUMERIC


def _land(
    connection: psycopg.Connection, usable: Sequence[_Usable], origin: str, moment: datetime, outcome: Retried
) -> None:
    readings = _readings(usable, origin, moment)
    prepared = events.prepare(readings)
    try:
        with connection.transaction():
            events.ensure_partitions(connection, events.days_of(prepared.readings.rows))
            available_at = np.full(len(prepared), to_us(moment), np.int64)
            new = events.insert_missing(connection, prepared, origin, available_at)
            for place in range(len(prepared)):
                # Each alone: between two readings that were kept aside others may be missing still.
                alone = prepared.part(slice(place, place + 1))
                cover(connection, alone, alone.readings.rows["tag_id"].tolist(), origin)
            events.upsert_latest(connection, prepared)
            connection.execute(
                "UPDATE raw.rejected_events SET landed_at = %s WHERE rejected_id = ANY(%s)",
                (moment, [reading.rejected_id for reading in usable]),
            )
    except psycopg.Error as error:
        if diagnose(error).trouble is not Trouble.POISON:
            raise
        if len(usable) > 1:
            middle = len(usable) // 2
            for half in (usable[:middle], usable[middle:]):
                _land(connection, half, origin, moment, outcome)
            return
        outcome.unusable[f"refused by Postgres: {error.diag.message_primary or error}"] += 1
        return
    outcome.landed += new
    outcome.there += len(usable) - new


def _readings(usable: Sequence[_Usable], origin: str, moment: datetime) -> Readings:
    rows = empty_rows(len(usable))
    texts: list[str] = []
    for target, reading in zip(rows, usable, strict=True):
        row = reading.row
        target["tag_id"] = reading.tag_id
        target["source_ts"] = to_us(row["source_ts"])
        target["server_ts"] = NO_TIME if row["server_ts"] is None else to_us(row["server_ts"])
        target["status"] = row["status"]
        if row["kind"] == "number":
            target["kind"], target["value"] = NUMBER, float(row["payload"])
        elif row["kind"] == "text":
            target["kind"], target["text"] = TEXT, len(texts)
            texts.append(row["payload"])
    return Readings(rows, texts, to_us(moment), 0, origin)
