"""What a training leaves behind, and that a version can be made again from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from ml import features, registry
from ml.__main__ import app
from ml.errors import ModelError, RegistryError
from ml.learning import card, reproduce, training
from ml.policy import Policy
from tests.conftest import free_port
from tests.integration.ml.conftest import NOON, START, Fill
from tests.integration.ml.shadowing import in_memory
from warehouse.settings import Settings

MINUTE = timedelta(minutes=1)


@pytest.fixture
def smaller(policy: Policy) -> Policy:
    """Every test here trains: one row in ten is enough."""
    return policy.model_copy(update={"max_normal_rows": 2000, "min_training_rows": 200})


@pytest.fixture
def version(with_past: Settings, smaller: Policy) -> str:
    """Trained two minutes after the newest window: the mart is behind a plant that runs."""
    return str(training.train(with_past, NOON + 2 * MINUTE, smaller, bootstrap=True).model_version)


def one(admin: psycopg.Connection, statement: str) -> object:
    row = admin.execute(statement).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return row[0]


def test_a_version_is_made_again_bit_for_bit_and_then_says_what_changed(
    with_past: Settings, admin: psycopg.Connection, version: str, build: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(NOON, NOON + 2 * MINUTE)  # what wasn't there yet
    again = reproduce.reproduce(with_past, version)
    assert again.equal and again.same_model and not again.from_kept
    assert (again.data, again.code, again.libraries) == (None, None, None)
    assert again.figures >= 8

    # Late data and a late failure: the draw finds other rows, the kept ones give the same model.
    admin.execute(
        "UPDATE marts.gold_ml_features SET vibration_deviation_5m = 1, available_at = window_end,"
        " built_xid = pg_current_xact_id() WHERE equipment_id = 'PUMP-1' AND window_end = %s",
        (START,),
    )
    admin.execute("DELETE FROM marts.gold_ml_features WHERE equipment_id = 'PUMP-3' AND window_end < '2026-03-07'")
    late = reproduce.reproduce(with_past, version)
    assert late.equal and late.same_model and late.from_kept
    assert late.data is not None and "are gone" in late.data and "other features" not in late.data

    # What a training was made with is held against what there is now.
    admin.execute(
        "UPDATE ml.training_runs SET code_hash = 'other', libraries = libraries || '{\"numpy\": \"1.0\"}'"
        " WHERE model_version = %s",
        (version,),
    )
    admin.execute(
        "UPDATE ml.evaluations SET value = 0.123 WHERE model_version = %s AND metric = 'precision'", (version,)
    )
    other = reproduce.reproduce(with_past, version)
    assert [d.metric for d in other.differences] == ["precision"]
    assert other.code is not None and "then other" in other.code
    assert other.libraries is not None and "then 1.0" in other.libraries

    # Without the kept rows there is only what the mart has left.
    monkeypatch.setattr(registry, "sample_of", lambda settings, run_id: None)
    for name, value in (("MILLWRIGHT_VAR", with_past.var), ("MILLWRIGHT_POSTGRES_PORT", with_past.postgres_port)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PGDATABASE", with_past.pgdatabase)
    said = CliRunner().invoke(app, ["reproduce", version])
    assert said.exit_code == 1
    assert "figures differ" in said.output and "has kept no rows" in said.output


def test_a_changed_feature_or_label_is_told_apart(
    with_past: Settings, admin: psycopg.Connection, version: str, smaller: Policy
) -> None:
    moved = admin.execute(
        "UPDATE marts.gold_ml_features SET vibration_deviation_5m = vibration_deviation_5m + 1"
        " WHERE equipment_id = 'PUMP-1' AND window_end > '2026-03-08' AND window_end <= '2026-03-08 02:00'"
    ).rowcount
    admin.execute("UPDATE raw.cmms_failures SET failure_mode = 'blockage' WHERE failure_id = 'F0'")
    late = reproduce.reproduce(with_past, version)
    assert moved == 120
    assert late.data is not None and "have other features" in late.data and "have another label" in late.data
    assert late.equal and late.from_kept


def test_mlflow_itself_loads_a_version_with_its_signature_and_scores_its_example(
    with_past: Settings, version: str
) -> None:
    registry.client(with_past)
    import mlflow

    model = mlflow.pyfunc.load_model(f"models:/{registry.MODEL}/{version}")
    signature = model.metadata.signature
    assert signature.inputs.input_names() == list(features.FEATURES)
    assert {str(kind) for kind in signature.inputs.input_types()} == {"DataType.double"}
    example = model.input_example
    assert list(example.columns) == list(features.FEATURES) and len(example) == 5
    # The actions that the same rows, and one that shakes, get from what a minute scores with.
    example.loc[5] = example.loc[4] + [15.0 * name.startswith("vibration_deviation") for name in features.FEATURES]
    expected = registry.load(with_past, version).score(example.to_numpy())
    assert expected.action[5] == "schedule_maintenance"
    assert list(model.predict(example)) == list(expected.action)
    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs"):
        model.predict(example.drop(columns="load_ratio"))


def test_what_a_training_was_made_of_is_kept(
    with_past: Settings, admin: psycopg.Connection, version: str, smaller: Policy
) -> None:
    row = card.training_of(admin, version).row
    missing = [name for name, value in row.items() if value is None]
    assert missing == ["tuning_id"], "no search was made"
    assert one(admin, f"SELECT pg_visible_in_snapshot(pg_current_xact_id(), '{row['snapshot']}')") is False
    assert row["policy"]["max_normal_rows"] == 2000 and row["parameters"]["trees"] == 120
    run = registry.client(with_past).get_run(row["mlflow_run_id"])
    for name in ("snapshot", "data_hash", "model_hash", "code_version", "code_hash", "library.scikit-learn"):
        assert run.data.tags[name], name
    assert run.data.params["data_hash"] == row["data_hash"] and run.data.params["bundle_trees"] == "120"

    text = card.publish(with_past, version)
    assert re.search(r"\| 0\.9 \| critical \| [\d.]+% \| 0\.019 \| [\d.]+ \| [\d.]+ to [\d.]+ \|", text), text
    for part in ("## Data", "| precision |", "| 0.9 | critical |", "## Leakage guards", "## Limits", row["data_hash"]):
        assert part in text, part
    handle = registry.client(with_past)
    assert handle.get_model_version(registry.MODEL, version).description == text[:5000]
    pictures = {entry.path for entry in handle.list_artifacts(row["mlflow_run_id"], "figures")}
    assert pictures == {
        f"figures/{name}.png"
        for name in (
            "confusion_matrix", "roc_curve", "precision_recall_curve", "confidence_calibration", "horizon_calibration",
            "feature_importance",
        )
    }  # fmt: skip


def test_one_class_only_has_a_card_and_no_pictures(site: Settings, build: Fill, smaller: Policy) -> None:
    build(START, NOON)
    result = training.train(site, NOON, smaller, bootstrap=True)
    assert result.model_version is not None
    assert "No pictures: the held-out time has one class only" in card.publish(site, result.model_version)


def test_an_unknown_version_is_refused(site: Settings) -> None:
    with pytest.raises(ModelError, match="no training of version '7'"):
        reproduce.reproduce(site, "7")


@pytest.fixture
def _away(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address where no registry answers, asked once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield f"http://127.0.0.1:{free_port()}"


def test_a_registry_that_is_away_fails_the_training_before_it_fits(
    with_past: Settings, admin: psycopg.Connection, smaller: Policy, _away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _away)
    monkeypatch.setattr(training, "fit", lambda *_: pytest.fail("it was fitted all the same"))
    with pytest.raises(RegistryError, match="doesn't answer"):
        training.train(with_past, NOON, smaller)
    assert admin.execute("SELECT outcome, model_version, left(reason, 13) FROM ml.training_runs").fetchall() == [
        ("failed", None, "RegistryError")
    ]
    # Nor is it where there is nothing to compare it with: the champion's bundle can't be had.
    in_memory(monkeypatch, champion="1")
    monkeypatch.setattr(registry, "require", lambda _: None)

    def gone(_settings: Settings, version: str) -> None:
        raise RegistryError(f"version {version} can't be had")

    monkeypatch.setattr(registry, "load", gone)
    with pytest.raises(RegistryError, match="version 1 can't be had"):
        training.train(with_past, NOON, smaller)


def test_a_registry_that_goes_away_leaves_nothing_half_done(
    with_past: Settings, admin: psycopg.Connection, smaller: Policy, _away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = training.fit

    def goes_away(*given: object) -> object:
        bundle = fit(*given)  # type: ignore[arg-type]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", _away)
        return bundle

    at_home = os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setattr(training, "fit", goes_away)
    with pytest.raises(RegistryError, match="doesn't answer"):
        training.train(with_past, NOON, smaller, bootstrap=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", at_home)
    assert one(admin, "SELECT outcome FROM ml.training_runs") == "failed"
    assert one(admin, "SELECT training_rows > 0 AND data_hash IS NOT NULL FROM ml.training_runs") is True
    assert one(admin, "SELECT (SELECT count(*) FROM ml.evaluations) + (SELECT count(*) FROM ml.promotions)") == 0
    assert registry.aliases(with_past).versions == {}
    assert registry.client(with_past).search_model_versions(f"name = '{registry.MODEL}'") == []
