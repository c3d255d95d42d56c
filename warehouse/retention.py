"""Retention of the tables that are deleted from row by row: none of them grows by readings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from warehouse.roles import Role, connect
from warehouse.settings import Settings

# Rows a statement: short transactions, which hold nobody up.
BATCH = 10_000
_CLEARED = "state = 'cleared'"
_WITHOUT_GAPS = "NOT EXISTS (SELECT FROM raw.sensor_gaps AS g WHERE g.loss_id = losses.loss_id)"
# What a row was before it changed is needed until the transform has seen the change.
_SEEN = (
    "changed_xid < (SELECT pg_snapshot_xmin(w.snapshot) FROM ops.watermarks AS w, pg_control_system() AS c"
    " WHERE w.pipeline = 'transform' AND w.system_identifier = c.system_identifier)"
)
# Drift is held against what a champion learnt, however long ago that was, and may yet be against a challenger's.
_NEVER_PASSED = (
    "NOT EXISTS (SELECT FROM ml.promotions AS p WHERE p.candidate_version = reference.model_version"
    " AND p.criterion = 'decision' AND p.passed)"
)


@dataclass(frozen=True)
class Rows:
    """Rows of `table` go once its `clock` is past the days of the setting `days`, if the `condition` holds as well.

    A table comes after those whose rows refer to it.
    """

    table: str
    clock: str
    days: str
    condition: str = "true"


# Operators' answers, labels, evaluations and promotions are kept for ever: they are what is learnt from.
KEPT_FOR = (
    Rows("raw.rejected_events", "rejected_at", "rejected_retention_days"),
    Rows("raw.rejected_rows", "rejected_at", "rejected_retention_days"),
    Rows("raw.former_rows", "changed_at", "raw_retention_days", _SEEN),
    Rows("raw.loads", "loaded_at", "recommendation_retention_days"),
    Rows("raw.sensor_gaps", "recorded_at", "ledger_retention_days", "to_ts IS NOT NULL"),
    Rows("raw.losses", "recorded_at", "ledger_retention_days", _WITHOUT_GAPS),
    Rows("serving.recommendations_serving", "published_at", "recommendation_retention_days"),
    Rows("serving.critical_alerts", "raised_at", "recommendation_retention_days", _CLEARED),
    Rows("ml.recommendations", "created_at", "recommendation_retention_days"),
    Rows("ml.scores", "window_end", "recommendation_retention_days"),
    Rows("ml.drift", "moment", "recommendation_retention_days"),
    Rows("ml.reference", "kept_at", "recommendation_retention_days", _NEVER_PASSED),
    Rows("ops.pipeline_metrics", "measured_at", "metrics_retention_days"),
    Rows("ops.transform_runs", "started_at", "metrics_retention_days"),
    Rows("ops.data_quality_results", "checked_at", "recommendation_retention_days"),
)


def keep_rows(settings: Settings, moment: datetime) -> dict[str, int]:
    """Delete what is past its retention at `moment`; returns the rows that went, by table. Safe to repeat."""
    with connect(settings, Role.ADMIN, autocommit=True) as connection:
        return {rows.table: _delete(connection, rows, moment - timedelta(days=getattr(settings, rows.days)))
                for rows in KEPT_FOR}  # fmt: skip


def _delete(connection: psycopg.Connection, rows: Rows, before: datetime) -> int:
    statement = sql.SQL(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY("
        "SELECT ctid FROM {table} WHERE {clock} < %(before)s AND {condition} LIMIT %(batch)s))"
    ).format(
        table=sql.Identifier(*rows.table.split(".")),
        clock=sql.Identifier(rows.clock),
        condition=sql.SQL(rows.condition),
    )
    deleted = 0
    while done := connection.execute(statement, {"before": before, "batch": BATCH}).rowcount:
        deleted += done
    return deleted
