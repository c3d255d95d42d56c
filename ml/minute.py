"""One minute's work of the models: score what is new, publish what should be seen, then say why."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from ml.recommending.explanations import explain_new
from ml.recommending.publishing import PublishingResult, publish
from ml.scoring import ScoringResult, score
from warehouse.roles import Role, connect
from warehouse.settings import Settings


@dataclass(frozen=True)
class MinuteResult:
    """Scoring and publishing with the seconds they took together; `explained` are recommendations, after that."""

    scoring: ScoringResult
    publishing: PublishingResult
    seconds: float
    explained: list[str]


def run(settings: Settings, moment: datetime) -> MinuteResult:
    """Score, publish and explain for `moment`; each step is a transaction of its own and can be run again."""
    began = time.perf_counter()
    scoring = score(settings, moment)
    publishing = publish(settings, moment)
    seconds = time.perf_counter() - began
    with connect(settings, Role.SCORE) as connection:
        connection.execute(
            "INSERT INTO ops.pipeline_metrics (stage, metric, value) VALUES ('score', 'minute_s', %s)", (seconds,)
        )
    return MinuteResult(scoring, publishing, seconds, explain_new(settings, moment))
