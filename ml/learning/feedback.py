"""Operators' answers and what became of them, from where HMIs and the CMMS write them to where models learn from them.

An answer is a label; what the CMMS says within `outcome_days` after the recommendation is another one, of source
'cmms'. Both are kept; which one counts is said in one place, the view `ml.verdicts` (ADR 30).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ml import watermark
from ml.labels import ACTION_OF_MODE, NOTHING_FOUND
from ml.policy import Policy
from ml.scorecard import NO_PRECEDENT
from warehouse.roles import Role, connect
from warehouse.settings import Settings

PIPELINE = "feedback"

_COPY = """
INSERT INTO raw.operator_feedback (feedback_id, recommendation_id, equipment_id, recommendation_timestamp, action_code,
    anomaly_score, operator_action, operator_id, action_timestamp, operator_notes, shift, session_id, asked_genie,
    created_at)
SELECT a.feedback_id, a.recommendation_id, a.equipment_id, a.recommendation_timestamp, a.action_code, a.anomaly_score,
    a.operator_action, a.operator_id, a.action_timestamp, a.operator_notes, a.shift, a.session_id, a.asked_genie,
    a.created_at
FROM serving.operator_answers AS a
WHERE a.created_at <= %(moment)s
    AND NOT EXISTS (SELECT FROM raw.operator_feedback AS f WHERE f.feedback_id = a.feedback_id)
ON CONFLICT (feedback_id) DO NOTHING
RETURNING feedback_id
"""
# A question is no judgment. The windows judged are those of the quarter of an hour that led to the recommendation.
# An HMI's clock may be ahead or behind: an answer is not later than its row, nor earlier than what it answers.
_LABEL = """
INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, action_code, source, source_id, judged_by, judged_at)
SELECT f.equipment_id, f.recommendation_timestamp - interval '15 minutes', f.recommendation_timestamp,
    CASE f.operator_action
        WHEN 'executed' THEN 'true_positive' WHEN 'rejected' THEN 'false_positive' ELSE 'undecided'
    END,
    CASE f.operator_action WHEN 'executed' THEN coalesce(f.action_code, r.action_code) END,
    'feedback', f.feedback_id, f.operator_id,
    greatest(least(f.action_timestamp, f.created_at), f.recommendation_timestamp)
FROM raw.operator_feedback AS f
LEFT JOIN serving.recommendations_serving AS r USING (recommendation_id)
WHERE f.operator_action <> 'ask_ai_why'
    AND NOT EXISTS (SELECT FROM ml.labels AS l WHERE l.source = 'feedback' AND l.source_id = f.feedback_id)
ON CONFLICT (source, source_id) DO NOTHING
RETURNING label_id
"""
# Answered stretches that a record of the CMMS may say something about since the last run: a row that came or changed,
# what it said before it changed, and one whose time to be known, or to be done, has come.
_TOUCHED = """
WITH told AS (
    SELECT equipment_id, failed_at AS at FROM raw.cmms_failures
    WHERE (loaded_xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
            AND NOT pg_visible_in_snapshot(loaded_xid, %(since)s::pg_snapshot))
        OR (available_at > %(last)s AND available_at <= %(moment)s)
    UNION ALL
    SELECT equipment_id, opened_at FROM raw.cmms_work_orders
    WHERE (loaded_xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
            AND NOT pg_visible_in_snapshot(loaded_xid, %(since)s::pg_snapshot))
        OR (available_at > %(last)s AND available_at <= %(moment)s)
    UNION ALL
    SELECT equipment_id, opened_at FROM raw.cmms_work_orders
    WHERE completed_at > %(last)s AND completed_at <= %(moment)s AND available_at <= %(last)s
    UNION ALL
    SELECT row ->> 'equipment_id', coalesce(row ->> 'failed_at', row ->> 'opened_at')::timestamptz FROM raw.former_rows
    WHERE changed_xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
        AND NOT pg_visible_in_snapshot(changed_xid, %(since)s::pg_snapshot)
        AND table_name IN ('cmms_failures', 'cmms_work_orders')
)
SELECT DISTINCT l.equipment_id, l.from_ts, l.to_ts
FROM told
JOIN ml.labels AS l ON l.equipment_id = told.equipment_id AND l.source = 'feedback'
    -- The stretch begins a quarter of an hour before its recommendation: this is what the index knows.
    AND l.from_ts > told.at - %(within)s - interval '15 minutes' AND l.from_ts <= told.at
    AND l.to_ts > told.at - %(within)s AND l.to_ts <= told.at
"""
_ALL = "SELECT DISTINCT equipment_id, from_ts, to_ts FROM ml.labels WHERE source = 'feedback'"
_ANSWERED = "SELECT DISTINCT equipment_id, from_ts, to_ts FROM ml.labels WHERE label_id = ANY(%(labels)s)"
# A failure, or work that found a fault, says that the recommendation was right; work that found nothing says that it
# was wrong, unless one of those stands beside it. What the CMMS takes back is undecided again. A verdict is known once
# its record is there, was last changed (its code, its date), and, where nothing was found, once somebody had looked.
_OUTCOMES = """
WITH asked AS (
    SELECT * FROM unnest(%(machines)s::text[], %(from)s::timestamptz[], %(to)s::timestamptz[])
        AS a (equipment_id, from_ts, to_ts)
),
changed AS (
    SELECT table_name, coalesce(row ->> 'failure_id', row ->> 'work_order_id') AS id,
        least(max(changed_at), %(moment)s) AS changed_at
    FROM raw.former_rows
    WHERE table_name IN ('cmms_failures', 'cmms_work_orders')
    GROUP BY 1, 2
),
records AS (
    SELECT a.*, 0 AS rank, f.failed_at AS at, 'failure:' || f.failure_id AS record, f.failure_mode AS mode,
        greatest(f.available_at, c.changed_at) AS known_at
    FROM asked AS a
    JOIN raw.cmms_failures AS f ON f.equipment_id = a.equipment_id AND f.available_at <= %(moment)s
        AND f.failed_at >= a.to_ts AND f.failed_at < a.to_ts + %(within)s
    LEFT JOIN changed AS c ON c.table_name = 'cmms_failures' AND c.id = f.failure_id
    UNION ALL
    SELECT a.*, CASE WHEN w.nothing THEN 2 ELSE 1 END, w.opened_at, 'work_order:' || w.work_order_id, w.problem_code,
        greatest(w.available_at, c.changed_at, CASE WHEN w.nothing THEN w.completed_at END)
    FROM asked AS a
    JOIN LATERAL (
        SELECT o.*, coalesce(lower(o.problem_code) = ANY(%(nothing)s), false) AS nothing
        FROM raw.cmms_work_orders AS o
        WHERE o.equipment_id = a.equipment_id AND o.available_at <= %(moment)s
            AND o.opened_at >= a.to_ts AND o.opened_at < a.to_ts + %(within)s
    ) AS w ON CASE
        WHEN w.nothing THEN w.kind <> 'preventive' AND w.completed_at <= %(moment)s
        ELSE w.kind = 'corrective' OR w.problem_code = ANY(%(modes)s)
    END
    LEFT JOIN changed AS c ON c.table_name = 'cmms_work_orders' AND c.id = w.work_order_id
),
told AS (
    SELECT DISTINCT ON (equipment_id, from_ts, to_ts) * FROM records
    ORDER BY equipment_id, from_ts, to_ts, rank = 2, at, rank, record
),
verdicts AS (
    SELECT a.equipment_id, a.from_ts, a.to_ts,
        CASE WHEN t.rank IS NULL THEN 'undecided' WHEN t.rank = 2 THEN 'false_positive' ELSE 'true_positive'
        END AS label,
        CASE WHEN t.rank < 2
            THEN coalesce((%(actions)s::text[])[array_position(%(modes)s::text[], t.mode)], %(no_precedent)s)
        END AS action_code,
        coalesce(t.record, 'cmms') AS judged_by,
        coalesce(t.known_at, %(moment)s) AS judged_at
    FROM asked AS a
    LEFT JOIN told AS t USING (equipment_id, from_ts, to_ts)
)
INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, action_code, source, source_id, judged_by, judged_at)
SELECT v.equipment_id, v.from_ts, v.to_ts, v.label, v.action_code, 'cmms',
    v.equipment_id || ' ' || to_char(v.to_ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || ' ' || b.count + 1,
    v.judged_by, v.judged_at
FROM verdicts AS v
CROSS JOIN LATERAL (
    SELECT count(*) AS count, (array_agg(l.label ORDER BY l.label_id DESC))[1] AS label,
        (array_agg(l.action_code ORDER BY l.label_id DESC))[1] AS action_code
    FROM ml.labels AS l
    WHERE l.source = 'cmms' AND l.equipment_id = v.equipment_id AND l.from_ts = v.from_ts AND l.to_ts = v.to_ts
) AS b
WHERE (v.label, v.action_code) IS DISTINCT FROM (coalesce(b.label, 'undecided'), b.action_code)
RETURNING label_id
"""
_CORRECT = """
UPDATE serving.operator_answers AS a SET was_correct = v.was_correct
FROM unnest(%(machines)s::text[], %(from)s::timestamptz[], %(to)s::timestamptz[]) AS t (equipment_id, from_ts, to_ts)
CROSS JOIN LATERAL (
    SELECT CASE label WHEN 'true_positive' THEN true WHEN 'false_positive' THEN false END AS was_correct
    FROM ml.verdicts
    WHERE equipment_id = t.equipment_id AND from_ts = t.from_ts AND to_ts = t.to_ts
) AS v
WHERE a.equipment_id = t.equipment_id AND a.recommendation_timestamp = t.to_ts AND a.operator_action <> 'ask_ai_why'
    AND a.was_correct IS DISTINCT FROM v.was_correct
"""


@dataclass(frozen=True)
class SyncResult:
    """How many answers came over, how many labels they made, and how many outcomes of the CMMS made one."""

    answers: int
    labels: int
    outcomes: int = 0


def sync(settings: Settings, moment: datetime, policy: Policy | None = None) -> SyncResult:
    """Copy answers given up to `moment` that are not copied yet, and label what they and the CMMS judge; repeatable.

    executed → true positive, rejected → false positive, deferred → undecided, ask_ai_why → no label. What is new of the
    answers is what isn't there: an anti-join on the key, which no clock or late commit can fool. Of the CMMS only the
    records are looked at that came, changed or became known since the last run.
    """
    policy = policy or Policy()
    with _alone(settings) as connection:
        read = watermark.pin(connection, PIPELINE)
        answers = len(connection.execute(_COPY, {"moment": moment}).fetchall())
        labels = [row[0] for row in connection.execute(_LABEL).fetchall()]
        touched = set(connection.execute(_ANSWERED, {"labels": labels}).fetchall())
        within = timedelta(days=policy.outcome_days)
        # A run for an earlier moment must not take back what is known by now.
        known_at = max(moment, read.moment) if read.moment else moment
        if read.since is None:
            touched.update(connection.execute(_ALL).fetchall())
        else:
            parameters = {"since": read.since, "last": read.moment, "moment": known_at, "within": within}
            touched.update(connection.execute(_TOUCHED, parameters).fetchall())
        outcomes = _outcomes(connection, sorted(touched), known_at, within)
        watermark.move(connection, read, known_at)
        connection.execute(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value) VALUES ('feedback', 'answers', %s)", (answers,)
        )
    return SyncResult(answers, len(labels), outcomes)


def _outcomes(
    connection: psycopg.Connection, stretches: list[tuple[str, datetime, datetime]], moment: datetime, within: timedelta
) -> int:
    """Append what the CMMS says of answered `stretches` where it says something new; correct the answers."""
    if not stretches:
        return 0
    machines, since, until = (list(column) for column in zip(*stretches, strict=True))
    subjects: dict[str, Any] = {"machines": machines, "from": since, "to": until}
    parameters = subjects | {
        "moment": moment, "within": within, "nothing": list(NOTHING_FOUND), "no_precedent": NO_PRECEDENT,
        "modes": list(ACTION_OF_MODE), "actions": list(ACTION_OF_MODE.values()),
    }  # fmt: skip
    outcomes = len(connection.execute(_OUTCOMES, parameters).fetchall())
    connection.execute(_CORRECT, subjects)
    return outcomes


@contextmanager
def _alone(settings: Settings) -> Iterator[psycopg.Connection]:
    """One transaction on one snapshot, taken when no other sync is under way: both would label the same answers."""
    with connect(settings, Role.SCORE, autocommit=True) as connection:
        # Outside the transaction: its first statement would take the snapshot, and then wait.
        connection.execute("SELECT pg_advisory_lock(hashtext('ml.feedback'))")
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            yield connection
