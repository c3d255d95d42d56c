"""Operators' answers, from where HMIs write them to where models learn from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warehouse.roles import Role, connect
from warehouse.settings import Settings

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
_LABEL = """
INSERT INTO ml.labels (equipment_id, from_ts, to_ts, label, action_code, source, source_id, judged_by, judged_at)
SELECT f.equipment_id, f.recommendation_timestamp - interval '15 minutes', f.recommendation_timestamp,
    CASE f.operator_action
        WHEN 'executed' THEN 'true_positive' WHEN 'rejected' THEN 'false_positive' ELSE 'undecided'
    END,
    CASE f.operator_action WHEN 'executed' THEN coalesce(f.action_code, r.action_code) END,
    'feedback', f.feedback_id, f.operator_id, f.action_timestamp
FROM raw.operator_feedback AS f
LEFT JOIN serving.recommendations_serving AS r USING (recommendation_id)
WHERE f.operator_action <> 'ask_ai_why'
    AND NOT EXISTS (SELECT FROM ml.labels AS l WHERE l.source = 'feedback' AND l.source_id = f.feedback_id)
ON CONFLICT (source, source_id) DO NOTHING
RETURNING source_id
"""
_CORRECT = """
UPDATE serving.operator_answers AS a SET was_correct = (l.label = 'true_positive')
FROM ml.labels AS l
WHERE l.source = 'feedback' AND l.source_id = a.feedback_id AND a.was_correct IS NULL AND l.label <> 'undecided'
"""


@dataclass(frozen=True)
class SyncResult:
    """How many answers came over, and how many labels they made."""

    answers: int
    labels: int


def sync(settings: Settings, moment: datetime) -> SyncResult:
    """Copy answers given up to `moment` that are not copied yet, and label what they judge; safe to repeat.

    executed → true positive, rejected → false positive, deferred → undecided, ask_ai_why → no label. What is new is
    what isn't there: an anti-join on the key, which no clock or late commit can fool.
    """
    with connect(settings, Role.SCORE) as connection:
        answers = len(connection.execute(_COPY, {"moment": moment}).fetchall())
        labels = len(connection.execute(_LABEL).fetchall())
        connection.execute(_CORRECT)
        connection.execute(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value) VALUES ('feedback', 'answers', %s)", (answers,)
        )
    return SyncResult(answers, labels)
