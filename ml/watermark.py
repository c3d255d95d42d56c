"""The snapshot up to which a step has read, so that neither a slow transaction nor a late row is passed over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg


@dataclass(frozen=True)
class Range:
    """What a step reads: rows that `until` sees and `since` didn't. `since` is None on the first run ever.

    `moment` is what the last run worked for: what it saw of later windows it left to the next.
    """

    pipeline: str
    since: str | None
    until: str
    system_identifier: int
    moment: datetime | None = None


def pin(connection: psycopg.Connection, pipeline: str) -> Range:
    """Pin this transaction's snapshot; it must be REPEATABLE READ, so that everything it reads is the snapshot.

    A watermark of another cluster (after a restore) means nothing here and counts as none.
    """
    row = connection.execute(
        """
        SELECT w.snapshot::text, pg_current_snapshot()::text, c.system_identifier, w.moment
        FROM pg_control_system() AS c
        LEFT JOIN ops.watermarks AS w ON w.pipeline = %s AND w.system_identifier = c.system_identifier
        """,
        (pipeline,),
    ).fetchone()
    assert row is not None  # pg_control_system always answers
    return Range(pipeline, row[0], row[1], row[2], row[3])


def move(connection: psycopg.Connection, read: Range, moment: datetime) -> None:
    """Store where the step has come to, in the transaction of its results."""
    connection.execute(
        """
        INSERT INTO ops.watermarks (pipeline, snapshot, system_identifier, moment) VALUES (%s, %s, %s, %s)
        ON CONFLICT (pipeline) DO UPDATE SET snapshot = excluded.snapshot,
            system_identifier = excluded.system_identifier, moment = excluded.moment, moved_at = clock_timestamp()
        """,
        (read.pipeline, read.until, read.system_identifier, moment),
    )
