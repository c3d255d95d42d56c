"""What a fit makes of the policy, and of faults that are rare."""

from __future__ import annotations

import numpy as np
import pytest

from ml.bundle import EquipmentAnomalyDetector
from ml.errors import ModelError
from ml.features import DEVIATIONS, FEATURES
from ml.learning.sampling import Sample
from ml.learning.training import fit, refusal
from ml.policy import Policy
from warehouse.errors import WarehouseError
from warehouse.settings import Settings

SMALL = {"trees": 20, "isolation_trees": 20}


def test_bands_are_the_policys(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plant that stands more false alarms has lower bands: the setting, not the constant, reaches the score."""
    for name, rate in (("MINOR", "7"), ("SIGNIFICANT", "2"), ("CRITICAL", "0.5")):
        monkeypatch.setenv(f"MILLWRIGHT_ML_{name}_WEEKLY", rate)
    calm = sample.rows.take(np.flatnonzero(~sample.rows.positive))
    own, usual = (fit(calm, policy, SMALL, 1).scorecard.bands for policy in (Policy(), Policy.model_construct()))
    assert own.stated.tolist() == [7, 2, 0.5]
    assert (own.knots < usual.knots).all()


def test_what_has_no_baseline_says_nothing_of_what_is_normal(sample: Sample) -> None:
    # A copy: the fixture is every test's.
    rows, deviations = sample.rows.take(np.arange(len(sample.rows))), [FEATURES.index(name) for name in DEVIATIONS]
    assert refusal(rows, Policy(), bootstrap=True) is None
    rows.windows.x[np.ix_(np.flatnonzero(~rows.positive)[199:], deviations)] = np.nan
    told = "199 rows of normal operation with a baseline before the held-out time: too few to know what is normal"
    assert refusal(rows, Policy(), bootstrap=True) == told


def test_rates_out_of_order_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLWRIGHT_ML_SIGNIFICANT_WEEKLY", "3")
    for given in (1, 3):
        monkeypatch.setenv("MILLWRIGHT_ML_MINOR_WEEKLY", str(given))
        wanted = "^MILLWRIGHT_ML_SIGNIFICANT_WEEKLY must be less than MILLWRIGHT_ML_MINOR_WEEKLY, which is "
        with pytest.raises(ModelError, match=rf"{wanted}{given}. Got: 3$"):
            Policy()
    monkeypatch.setenv("MILLWRIGHT_ML_MINOR_WEEKLY", "4")
    assert Policy().bands_weekly[:2] == (4, 3)
    with pytest.raises(ModelError, match=r"^MILLWRIGHT_ML_CRITICAL_WEEKLY must be less than .* which is 3. Got: 3.5$"):
        Policy(critical_weekly=3.5)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MILLWRIGHT_ML_OPERATORS", "0", "Input should be greater than or equal to 1. Got: '0'"),
        ("MILLWRIGHT_ML_MIN_CONFIDENCE", "75%", "Input should be a valid number, .* Got: '75%'"),
        ("MILLWRIGHT_ML_CLEAR_DAYS", "inf", "Input should be a finite number. Got: 'inf'"),
        ("MILLWRIGHT_MLFLOW_PORT", "five", "Input should be a valid integer, .* Got: 'five'"),
        ("PGPORT", "five", "Input should be a valid integer, .* Got: 'five'"),
    ],
)
def test_a_setting_that_is_not_allowed_is_named(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(WarehouseError, match=rf"^{name}: {told}$"):
        Policy() if "_ML_" in name else Settings()


def test_a_setting_that_is_misspelt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be thought to hold."""
    monkeypatch.setenv("MILLWRIGHT_ML_MIN_CONFIDENSE", "0.9")
    with pytest.raises(ModelError, match="CONFIDENSE is no setting; the nearest is MILLWRIGHT_ML_MIN_CONFIDENCE, "):
        Policy()


def test_a_rare_fault_is_not_drowned_by_what_is_normal() -> None:
    """Forty rows of it among a hundred times as many: what looks as often like it as like normal operation is known."""
    rng = np.random.default_rng(1)
    normal, rare = 4000, 40
    x = np.full((normal + rare, len(FEATURES)), np.nan)
    temperature = FEATURES.index("temperature_deviation_5m")
    x[:, temperature] = np.concatenate([rng.normal(0, 2, normal), rng.normal(6, 1, rare)])
    action = np.repeat(["continue_operation", "reduce_speed"], [normal, rare])
    made = EquipmentAnomalyDetector(trees=30, isolation_trees=10).fit(x, action)
    unclear = np.full((1, len(FEATURES)), np.nan)
    unclear[:, temperature] = 5.0
    said = made.predict_proba(unclear)[0, list(made.classes_).index("reduce_speed")]
    assert said > 0.5
