"""Scoring: what is new, once; late data; a registry that is away; a mart that doesn't fit."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from ml import features, registry, scoring
from ml.errors import ContractError, RegistryError
from ml.learning import training
from ml.policy import Policy
from tests.integration.ml.conftest import NOON, START, Fault, Fill
from warehouse.settings import Settings

MINUTE = timedelta(minutes=1)


@pytest.fixture
def trained(site: Settings, build: Fill, policy: Policy) -> Settings:
    """A champion on the detector alone: a day of normal operation, no labels."""
    build(START, START + timedelta(days=1))
    result = training.train(site, START + timedelta(days=1), policy, bootstrap=True)
    assert result.outcome == "trained" and "works alone" in result.reason
    return site


def test_without_a_champion_it_says_how_to_make_one(site: Settings) -> None:
    with pytest.raises(RegistryError, match="train --bootstrap"):
        scoring.score(site, NOON)


def test_each_window_is_scored_once(
    trained: Settings, build: Fill, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = START + timedelta(days=1)
    assert scoring.score(trained, moment).scored == 180, "the first run takes the last hour"
    assert scoring.score(trained, moment).windows == 0
    build(moment, moment + MINUTE)
    assert scoring.score(trained, moment).windows == 0, "it lies after the moment"
    # The watermark has passed that row's transaction, and nothing need touch the row again: a slow run built ahead.
    build(moment + MINUTE, moment + 2 * MINUTE)
    result = scoring.score(trained, moment + 2 * MINUTE)
    assert (result.windows, result.scored, result.superseded) == (6, 6, 0)
    kept = admin.execute("SELECT count(*), count(DISTINCT contract) FROM ml.scored_features").fetchone()
    assert kept == (186, 1)
    # Built again from the same readings once another is champion: what was said stands, and is said once.
    shutil.copytree(registry.folder(trained, "1"), registry.folder(trained, "2"))
    monkeypatch.setattr(registry, "aliases", lambda _: registry.Aliases({"champion": "2", "challenger": "1"}, False))
    build(moment + MINUTE, moment + 2 * MINUTE)
    result = scoring.score(trained, moment + 2 * MINUTE)
    assert (result.windows, result.scored, result.superseded) == (3, 0, 0)
    build(moment + 2 * MINUTE, moment + 3 * MINUTE)
    assert scoring.score(trained, moment + 3 * MINUTE).scored == 3
    standing = admin.execute(
        "SELECT role, model_version, count(*) FROM ml.scores WHERE superseded_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert standing.fetchall() == [("challenger", "1", 6), ("champion", "1", 186), ("champion", "2", 3)]


def averages_shown(admin: psycopg.Connection) -> dict[str, tuple[Any, ...]]:
    """End, temperature, vibration and throughput of each machine's newest scored window, as the dashboard has them."""
    rows = admin.execute(
        "SELECT equipment_id, scored_at, temp_avg_5min, vibration_avg_5min, throughput_avg_5min"
        " FROM serving.hmi_dashboard"
    )
    return {row[0]: row[1:] for row in rows}


def test_the_dashboard_has_the_averages_of_the_newest_window_as_it_is_by_now(
    trained: Settings, build: Fill, admin: psycopg.Connection
) -> None:
    moment = START + timedelta(days=1)
    assert set(averages_shown(admin).values()) == {(None,) * 4}, "nothing was scored yet"
    build(moment, moment + 2 * MINUTE, (Fault("PUMP-2", "temperature", moment, moment + 2 * MINUTE, 4.0),))
    build(moment + MINUTE, moment + 2 * MINUTE, machines=("PUMP-3",), state="stopped")
    scoring.score(trained, moment + 2 * MINUTE)
    gold = admin.execute(
        "SELECT equipment_id, window_end, temperature_mean_5m, vibration_mean_5m, throughput_mean_5m"
        " FROM marts.gold_ml_features WHERE (equipment_id, window_end) IN (('PUMP-1', %(new)s), ('PUMP-2', %(new)s),"
        " ('PUMP-3', %(before)s))",
        {"new": moment + 2 * MINUTE, "before": moment + MINUTE},
    )
    shown = averages_shown(admin)
    assert shown == {row[0]: row[1:] for row in gold}, "of the one that stands since, the minute before"
    assert shown["PUMP-2"][1] == 14.0
    # Late data that no vector tells, for the machine has no baseline.
    admin.execute(
        "UPDATE marts.gold_ml_features SET throughput_mean_5m = 300, built_xid = pg_current_xact_id()"
        " WHERE equipment_id = 'PUMP-2' AND window_end = %s",
        (moment + 2 * MINUTE,),
    )
    assert scoring.score(trained, moment + 2 * MINUTE).superseded == 1
    assert averages_shown(admin) == shown | {"PUMP-2": (moment + 2 * MINUTE, 14.0, 10.0, 300.0)}
    # A newest window that is scored no more leaves the one before it.
    build(moment + MINUTE, moment + 2 * MINUTE, machines=("PUMP-1",), state="maintenance")
    scoring.score(trained, moment + 2 * MINUTE)
    assert averages_shown(admin)["PUMP-1"][0] == moment + MINUTE
    # Scores of before the averages were kept aren't made anew for the lack of them.
    admin.execute("UPDATE ml.scores SET temp_avg_5min = NULL, vibration_avg_5min = NULL, throughput_avg_5min = NULL")
    admin.execute("UPDATE marts.gold_ml_features SET built_xid = pg_current_xact_id() WHERE window_end > %s", (moment,))
    result = scoring.score(trained, moment + 2 * MINUTE)
    assert (result.windows, result.superseded) == (4, 0)


def test_late_data_supersedes_what_it_changed_and_only_that(
    trained: Settings, build: Fill, admin: psycopg.Connection
) -> None:
    moment = START + timedelta(days=1)
    build(moment, moment + 3 * MINUTE)
    scoring.score(trained, moment + 3 * MINUTE)
    build(moment, moment + 3 * MINUTE, (Fault("PUMP-1", "pressure", moment + MINUTE, moment + 2 * MINUTE, 9.0),))
    result = scoring.score(trained, moment + 3 * MINUTE)
    assert (result.windows, result.scored, result.superseded) == (9, 1, 1)
    rows = admin.execute(
        "SELECT superseded_at IS NULL, anomaly_score FROM ml.scores WHERE equipment_id = 'PUMP-1' AND window_end = %s"
        " ORDER BY score_id",
        (moment + 2 * MINUTE,),
    ).fetchall()
    assert [row[0] for row in rows] == [False, True]
    assert rows[1][1] > rows[0][1]


def test_late_data_supersedes_a_former_champions_scores_too(
    trained: Settings, build: Fill, admin: psycopg.Connection
) -> None:
    moment = START + timedelta(days=1)
    scoring.score(trained, moment)
    admin.execute("UPDATE ml.scores SET model_version = 'former'")
    late = moment - 2 * MINUTE
    build(late, moment, (Fault("PUMP-1", "pressure", late, late + MINUTE, 9.0),), machines=("PUMP-1",))
    result = scoring.score(trained, moment)
    assert (result.windows, result.scored, result.superseded) == (2, 2, 2)
    former = admin.execute(
        "SELECT window_end FROM ml.scores WHERE model_version = 'former' AND superseded_at IS NOT NULL ORDER BY 1"
    )
    assert former.fetchall() == [(late + MINUTE,), (moment,)]


def test_a_window_in_which_the_machine_stood_after_all_has_no_score(
    trained: Settings, build: Fill, admin: psycopg.Connection
) -> None:
    moment = START + timedelta(days=1)
    scoring.score(trained, moment)
    build(moment - MINUTE, moment, machines=("PUMP-1",), state="stopped")
    assert scoring.score(trained, moment).superseded == 1
    left = admin.execute(
        "SELECT equipment_id FROM ml.scores WHERE window_end = %s AND superseded_at IS NULL ORDER BY 1", (moment,)
    )
    assert left.fetchall() == [("PUMP-2",), ("PUMP-3",)]


def test_a_gap_that_is_known_late_is_said_by_a_new_score(trained: Settings, admin: psycopg.Connection) -> None:
    moment = START + timedelta(days=1)
    scoring.score(trained, moment)
    admin.execute(
        "UPDATE marts.gold_ml_features SET over_gap = true, built_xid = pg_current_xact_id()"
        " WHERE equipment_id = 'PUMP-2' AND window_end = %s",
        (moment,),
    )
    assert scoring.score(trained, moment).superseded == 1
    said = admin.execute(
        "SELECT over_gap FROM ml.scores WHERE equipment_id = 'PUMP-2' AND window_end = %s ORDER BY score_id", (moment,)
    )
    assert said.fetchall() == [(False,), (True,)]


def test_stopped_machines_are_not_scored(trained: Settings, build: Fill) -> None:
    moment = START + timedelta(days=1)
    scoring.score(trained, moment)
    build(moment, moment + MINUTE, machines=("PUMP-1",), state="stopped")
    build(moment, moment + MINUTE, machines=("PUMP-2",), state="maintenance")
    build(moment, moment + MINUTE, machines=("PUMP-3",))
    assert scoring.score(trained, moment + MINUTE).windows == 1


def test_it_goes_on_while_the_registry_is_away(
    trained: Settings, monkeypatch: pytest.MonkeyPatch, admin: psycopg.Connection
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{trained.mlflow_port}")
    result = scoring.score(trained, START + timedelta(days=1))
    assert result.registry_away and result.scored == 180
    metric = "SELECT value FROM ops.pipeline_metrics WHERE stage = 'score' AND metric = 'registry_away'"
    assert admin.execute(metric).fetchall() == [(1.0,)]
    monkeypatch.setattr(
        "mlflow.MlflowClient.get_model_version",
        lambda *asked: pytest.fail("MLflow's own client was asked, which tries for minutes"),
    )
    with pytest.raises(RegistryError, match=r"version 99 .* can't be had"):
        registry.load(trained, "99")


def test_a_mart_that_does_not_match_is_refused(trained: Settings, admin: psycopg.Connection) -> None:
    admin.execute("ALTER TABLE marts.gold_ml_features RENAME COLUMN vibration_deviation_5m TO vibration_deviation")
    with pytest.raises(ContractError, match="missing or not numeric: vibration_deviation_5m"):
        scoring.score(trained, START + timedelta(days=1))


def test_a_model_of_another_contract_is_refused(trained: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.features.contract", lambda: "another")
    with pytest.raises(ContractError, match="train again"):
        scoring.score(trained, START + timedelta(days=1))


def test_a_challenger_of_another_contract_loses_its_place_and_stops_nobody(
    trained: Settings, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    champion = registry.aliases(trained)[registry.CHAMPION]
    assert champion is not None
    # As an upgrade leaves it: made from the same rows, for other features.
    old = str(registry.client(trained).create_model_version(registry.MODEL, source="file:///nowhere").version)
    card = dataclasses.replace(registry.load(trained, champion), contract="of before")
    bundle = registry.folder(trained, champion) / registry.BUNDLE
    registry.keep(trained, old, bundle, registry.sha256(bundle), card)
    registry.set_aliases(trained, {registry.CHALLENGER: old})
    moment = START + timedelta(days=1)
    # While the registry is away the alias can't be moved; the champion scores all the same.
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{trained.mlflow_port}")
        assert scoring.score(trained, moment - MINUTE).versions == {"champion": champion}
    assert f"version {old} stays challenger until the registry answers" in caplog.text
    caplog.clear()
    assert scoring.score(trained, moment).versions == {"champion": champion}
    assert [record.getMessage() for record in caplog.records if old in record.getMessage()] == [
        f"version {old} is challenger no more: nothing can be scored with it: feature contract of before of version"
        f" {old} is not the mart's {features.contract()}"
    ]
    assert registry.aliases(trained).versions == {"champion": champion}
    caplog.clear()
    scoring.score(trained, moment)
    assert caplog.records == [], "it is said once"
    decisions = admin.execute(
        "SELECT gate, decision, candidate_version, champion_version FROM ml.promotions WHERE criterion = 'decision'"
        " AND gate <> 'first_model'"
    ).fetchall()
    assert decisions == [("place", "dismissed", old, champion)]


def test_a_spoilt_cache_is_fetched_again_and_a_spoilt_bundle_refused(
    trained: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.aliases(trained)[registry.CHAMPION]
    assert version is not None
    place = registry.folder(trained, version)
    whole = registry.load(trained, version)
    # As a machine that went down leaves it.
    (place / "manifest.json").write_text("")
    assert registry.load(trained, version).machines == whole.machines
    (place / registry.SCORECARD).write_bytes(b"spoilt")
    assert registry.load(trained, version).contract == whole.contract
    assert registry.load(trained, version).machines == whole.machines
    (place / registry.SCORECARD).write_bytes(b"spoilt")
    stored = next((trained.var / "mlflow" / "artifacts").rglob("*.skops"))
    stored.write_bytes(stored.read_bytes() + b" ")
    with pytest.raises(RegistryError, match="hash is not the registered one"):
        registry.load(trained, version)


def test_a_time_line_of_the_past_is_replayed(trained: Settings, admin: psycopg.Connection) -> None:
    for _ in range(2):
        count = scoring.replay(trained, START, START + timedelta(hours=6), NOON)
        assert count == 3 * 360
    current = "SELECT count(*), min(role) FROM ml.scores WHERE superseded_at IS NULL"
    assert admin.execute(current).fetchone() == (1080, "replayed")


def test_a_minute_imports_neither_mlflow_nor_scikit_learn() -> None:
    heavy = "[name for name in ('sklearn', 'shap', 'mlflow', 'pandas') if name in sys.modules]"
    program = (
        f"import sys, ml.scoring, ml.recommending.publishing, ml.recommending.explanations, ml.minute; print({heavy})"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_history_that_is_rebuilt_is_not_scored_all_over(trained: Settings, build: Fill) -> None:
    moment = START + timedelta(days=10)
    build(moment - timedelta(minutes=2), moment)
    assert scoring.score(trained, moment).scored == 6
    build(START, START + timedelta(hours=1))
    build(moment - timedelta(minutes=2), moment)
    result = scoring.score(trained, moment + timedelta(days=20))
    assert (result.windows, result.scored) == (6, 0), "only what was scored before is looked at again"


def test_a_version_of_another_contract_is_told_though_its_arrays_lie_otherwise(
    trained: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.aliases(trained)[registry.CHAMPION]
    assert version is not None
    place = registry.folder(trained, version)
    np.savez(place / registry.SCORECARD, contract=np.array("of before"))
    manifest = json.loads((place / "manifest.json").read_text())
    manifest[registry.SCORECARD] = registry.sha256(place / registry.SCORECARD)
    (place / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ContractError, match=f"feature contract of before of version {version} is not the mart's"):
        registry.load(trained, version)
    # And one that has to be fetched.
    shutil.rmtree(place)
    monkeypatch.setattr("ml.features.contract", lambda: "another")
    with pytest.raises(ContractError, match=f"of version {version} is not the mart's another"):
        registry.load(trained, version)
