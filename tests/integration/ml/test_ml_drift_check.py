"""A day of the small plant against its champion: rows, words, page; from the stored reference alone."""

from __future__ import annotations

import html
import logging
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from ml.drift import reference
from ml.drift.check import check
from ml.errors import NoChampionError, NoReferenceError
from ml.learning import training
from ml.policy import Policy
from tests.integration.ml.conftest import START, Fault, Fill
from warehouse.data_docs import data_docs
from warehouse.roles import Role, connect
from warehouse.settings import Settings

DAY = timedelta(days=1)
TRAINED = START + 10 * DAY
CHECKED = TRAINED + DAY


@pytest.fixture
def trained(site: Settings, build: Fill, policy: Policy) -> Settings:
    """Ten days of three machines on which nothing failed, and a champion of them."""
    build(START, TRAINED, sparse=True)
    training.train(site, TRAINED, policy, bootstrap=True)
    return site


def test_without_a_champion_or_its_reference_it_is_said(
    trained: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.execute("DELETE FROM ml.reference")
    with pytest.raises(NoReferenceError, match="version 1 was trained before references were kept"):
        check(trained, CHECKED)
    monkeypatch.setattr("ml.registry.aliases", lambda settings: {"champion": None})
    with pytest.raises(NoChampionError):
        check(trained, CHECKED)


def test_a_day_like_the_others_is_no_drift(trained: Settings, build: Fill, admin: psycopg.Connection) -> None:
    build(TRAINED, CHECKED, sparse=True)
    # The champion's scores that stand, and what is not to be looked at: the challenger's, and what late data replaced.
    for role, version, score, superseded in (
        ("champion", "1", 0.9, None), ("challenger", "1", 0.1, None), ("champion", "0", 0.1, None),
        ("champion", "1", 0.1, CHECKED),
    ):  # fmt: skip
        admin.execute(
            "INSERT INTO ml.scores (equipment_id, window_end, moment, action_code, confidence, model_version, role,"
            " anomaly_score, superseded_at) SELECT equipment_id, window_end, window_end, 'continue_operation', 0.9,"
            " %s, %s, %s, %s::timestamptz FROM marts.gold_ml_features WHERE window_end > %s AND window_end <= %s",
            (version, role, score, superseded, TRAINED, CHECKED),
        )
    result = check(trained, CHECKED)
    assert result.warnings == [] and result.attributions == []
    known = reference.load(admin, "1")[reference.PLANT, reference.SCORE]
    told = admin.execute(
        "SELECT statistic, value, bound, reason FROM ml.drift WHERE equipment_id = '' AND feature = 'anomaly_score'"
        " ORDER BY statistic"
    ).fetchall()
    far = reference.distance(np.full(result.rows, 0.9), known.quantiles, known.spread)
    assert told[0][:2] == ("distance", pytest.approx(far)) and told[1][0] == "psi" and len(told) == 2
    assert {row[2:] for row in told} == {(None, "2 days of training, fewer than 7")}
    assert result.report is not None and "All machines: anomaly_score" in result.report.read_text()
    assert (result.rows, result.machines) == (3 * 144, 3)
    judged = admin.execute("SELECT count(*), count(*) FILTER (WHERE drifted) FROM ml.drift WHERE bound IS NOT NULL")
    count, drifted = judged.fetchone() or (0, 0)
    assert count > 100 and drifted == 0
    quality = admin.execute(
        "SELECT subject, succeeded FROM ops.data_quality_results WHERE checkpoint = 'drift'"
    ).fetchall()
    assert quality == [("all machines", True)]
    assert result.report is not None and "None passed its bounds" in result.report.read_text()


def test_a_sensor_that_left_the_others_is_named(
    trained: Settings,
    build: Fill,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin.execute(
        "INSERT INTO raw.tags (server, node_id, equipment_id, measurement, unit, data_type)"
        " VALUES ('s', 'PUMP-2.P', 'PUMP-2', 'pressure', 'bar', 'double')"
    )
    away = Fault("PUMP-2", "pressure", TRAINED - DAY, CHECKED - timedelta(minutes=1), sigmas=6)
    # The mart has let go of the training, and the registry doesn't answer: the reference is what there is.
    admin.execute("DELETE FROM marts.gold_ml_features")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    build(TRAINED, CHECKED, faults=(away,), sparse=True)
    with caplog.at_level(logging.WARNING, logger="ml.drift"):
        result = check(trained, CHECKED)
    (told,) = result.attributions
    assert (told.equipment_id, told.origin, told.measurements) == ("PUMP-2", "sensor", ("pressure",))
    (sentence,) = [line for line in result.warnings if line.startswith("PUMP-2")]
    assert re.search(r"PUMP-2: sensor: pressure alone .*\[pressure \(bar, tag \d+, PUMP-2\.P\)\]", sentence)
    assert sentence in caplog.text
    rows = admin.execute(
        "SELECT DISTINCT d.equipment_id, d.verdict, t.measurement FROM ml.drift AS d"
        " LEFT JOIN raw.tags AS t ON t.tag_id = ANY(d.tag_ids) WHERE d.drifted AND d.equipment_id <> ''"
    ).fetchall()
    assert rows == [("PUMP-2", "sensor", "pressure")]
    seen = admin.execute(
        "SELECT succeeded, blocking, observed ->> 'value' FROM ops.data_quality_results"
        " WHERE checkpoint = 'drift' AND subject = 'PUMP-2'"
    ).fetchone()
    assert seen is not None and seen[:2] == (False, False) and "pressure alone" in seen[2]
    assert "pressure alone" in data_docs(trained).read_text()
    metric = admin.execute(
        "SELECT value FROM ops.pipeline_metrics WHERE stage = 'drift' AND metric = 'machines_drifted'"
    ).fetchone()
    assert metric == (1.0,)


def test_the_page_needs_no_network_and_says_what_the_rows_say(trained: Settings, build: Fill, tmp_path: Path) -> None:
    build(TRAINED, CHECKED, faults=(Fault("PUMP-1", "pressure", TRAINED - DAY, CHECKED, sigmas=6),), sparse=True)
    result = check(trained, CHECKED)
    assert result.report == trained.var / "docs" / "drift" / f"{CHECKED:%Y-%m-%d}.html"
    text = result.report.read_text()
    assert '<a href="2026-03-17.html">' in (result.report.parent / "index.html").read_text()
    # Namespaces are no addresses that a browser fetches, and the overview's picture is in the page itself.
    assert not re.findall(r"<(?:script|link|img|iframe)\b|@import|url\((?!#)", text)
    assert not [link for link in re.findall(r'href="([^"]*)"', text) if not link.startswith(("#", "data:"))]
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert text.count('<svg role="img" aria-labelledby=') == text.count("<figure>") >= 2
    assert result.attributions[0].words in html.unescape(text)
    other = check(trained, CHECKED, report=tmp_path / "own.html").report
    assert other == tmp_path / "own.html" and other.exists()


def test_a_second_run_replaces_the_first(trained: Settings, build: Fill, admin: psycopg.Connection) -> None:
    build(TRAINED, CHECKED, faults=(Fault("PUMP-1", "pressure", TRAINED - DAY, CHECKED, sigmas=6),), sparse=True)
    check(trained, CHECKED)
    before = admin.execute("SELECT equipment_id, feature, statistic, value FROM ml.drift ORDER BY 1, 2, 3").fetchall()
    check(trained, CHECKED)
    after = admin.execute("SELECT equipment_id, feature, statistic, value FROM ml.drift ORDER BY 1, 2, 3").fetchall()
    assert before == after and len(before) > 100
    # Late data says that the machine stood all day.
    said = "SELECT count(*) FILTER (WHERE drifted), count(*) FROM ml.drift WHERE equipment_id = 'PUMP-1'"
    found, rows = admin.execute(said).fetchone()  # type: ignore[misc]
    build(TRAINED, CHECKED, machines=("PUMP-1",), state="stopped", sparse=True)
    assert check(trained, CHECKED).attributions == []
    assert found > 0 and admin.execute(said).fetchone() == (0, rows)
    checks = admin.execute(
        "SELECT succeeded FROM ops.data_quality_results WHERE subject = 'PUMP-1' ORDER BY result_id"
    ).fetchall()
    assert checks == [(False,), (False,), (True,)]


def test_a_version_that_is_registered_anew_replaces_its_reference(trained: Settings) -> None:
    with connect(trained, Role.SCORE) as connection:
        profiles = reference.load(connection, "1")
        assert reference.PLANT in {machine for machine, _ in profiles} and len(profiles) > 50
        few = list(profiles.values())[:3]
        reference._store(connection, "1", few)
        assert set(reference.load(connection, "1")) == {(one.equipment_id, one.feature) for one in few}


def test_a_day_on_which_nothing_ran_is_no_drift(trained: Settings) -> None:
    result = check(trained, CHECKED + 5 * DAY)
    assert (result.rows, result.machines, result.findings, result.warnings) == (0, 0, [], [])
