"""Stored vectors give the stored scores, and a vector that somebody changed is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ml import scoring, skew
from ml.errors import ModelError
from ml.learning import training
from ml.policy import Policy
from tests.integration.ml.conftest import NOON
from warehouse.settings import Settings

HOUR = timedelta(hours=1)
# Each makes another score of one, whatever it was.
CHANGES = (
    "anomaly_score = anomaly_score / 2 + 0.5", "unsupervised_score = unsupervised_score + 1",
    "supervised_score = supervised_score + 1", "confidence = confidence / 2", "action_code = 'another'",
    "precedent = NOT precedent", "estimated_ttf = coalesce(estimated_ttf, 0) + 1",
    "ttf_low = coalesce(ttf_low, 0) + 1", "ttf_high = coalesce(ttf_high, 0) + 1",
    "failure_24h = coalesce(failure_24h, 0) / 2 + 0.5", "failure_72h = coalesce(failure_72h, 0) / 2 + 0.5",
    "failure_7d = coalesce(failure_7d, 0) / 2 + 0.5",
)  # fmt: skip


def test_yesterdays_scores_come_out_again_until_a_vector_is_changed(
    with_past: Settings, admin: psycopg.Connection, policy: Policy
) -> None:
    few = policy.model_copy(update={"max_normal_rows": 2000, "min_training_rows": 200})
    training.train(with_past, NOON, few, bootstrap=True)
    assert scoring.score(with_past, NOON).scored == 180
    same = skew.check(with_past, NOON - HOUR, NOON, NOON)
    assert same.succeeded and same.warnings == []
    assert [(check.expectation, check.compared, check.differing) for check in same.checks] == [
        ("scores_repeat", 180, 0), ("vectors_are_the_marts", 180, 0),
    ]  # fmt: skip
    assert same.checks[0].largest < 1e-12

    tampered = admin.execute(
        "UPDATE ml.scored_features SET features = jsonb_set(features, '{vibration_deviation_5m}', '9.5')"
        " WHERE score_id = (SELECT max(score_id) FROM ml.scored_features) RETURNING equipment_id"
    ).fetchone()
    assert tampered is not None
    changed = skew.check(with_past, NOON - HOUR, NOON, NOON)
    assert not changed.succeeded
    assert [check.differing for check in changed.checks] == [1, 1]
    assert "1 of 180 scored windows have another vector" in changed.warnings[0]
    assert f"1 of 180 scores don't come out again from their vectors, first {tampered[0]} at" in changed.failures[0]
    rows = admin.execute(
        "SELECT expectation, succeeded, (observed ->> 'differing')::int FROM ops.data_quality_results"
        " WHERE checkpoint = 'skew' ORDER BY result_id"
    ).fetchall()
    assert rows == [
        ("scores_repeat", True, 0), ("vectors_are_the_marts", True, 0),
        ("scores_repeat", False, 1), ("vectors_are_the_marts", False, 1),
    ]  # fmt: skip

    # So is whatever a score says beside; of those from before precedents were kept nobody knows.
    for number, change in enumerate(CHANGES, start=1):
        admin.execute(
            f"UPDATE ml.scores SET {change} WHERE score_id = (SELECT max(score_id) - %s FROM ml.scores)",  # type: ignore[call-overload]
            (number,),
        )
    admin.execute("UPDATE ml.scores SET precedent = NULL WHERE score_id = (SELECT min(score_id) FROM ml.scores)")
    assert skew.check(with_past, NOON - HOUR, NOON, NOON).checks[0].differing == 1 + len(CHANGES)

    # A share of them says how many it looked at; a version that is gone is told, not passed over.
    few_of_them = skew.check(with_past, NOON - HOUR, NOON, NOON, most=60)
    assert 20 <= few_of_them.checks[0].compared <= 100
    admin.execute("UPDATE ml.scores SET model_version = '99'")
    gone = skew.check(with_past, NOON - HOUR, NOON, NOON)
    assert "version 99 can't be had" in gone.warnings[0]


def test_a_day_without_scores_has_nothing_to_compare(site: Settings) -> None:
    assert skew.check(site, NOON - HOUR, NOON, NOON) == skew.SkewResult(())


def test_a_day_is_that_before_the_moment_or_the_one_named() -> None:
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    assert skew.day_of(NOON) == (midnight - timedelta(days=1), midnight)
    assert skew.day_of(NOON, "2026-03-10") == (midnight, midnight + timedelta(days=1))
    with pytest.raises(ModelError, match="--day must be a date"):
        skew.day_of(NOON, "yesterday")
