"""A reason's measured value beside its normal range, whatever kind of feature it is."""

from __future__ import annotations

import numpy as np
import pytest

from ml.recommending.contributions import Contributions
from ml.recommending.explanations import Explanation, Reason, lines, rank

RANGES: dict[str, tuple[float | None, float | None]] = {
    "errors_24h": (0.0, 1.0), "load_ratio": (0.5, 0.9), "equipment_age_days": (None, None)
}  # fmt: skip
UNITS = {"temperature": "°C", "vibration": "mm/s", "pressure": "bar"}
MEANS: dict[str, float | None] = {"temperature_mean_5m": 61.25, "pressure_mean_5m": None}


def reason(name: str, value: float) -> Reason:
    part = Contributions("ahead", (name,), np.array([0.5]), 0.1, 0.6, 3.0)
    (found,) = rank([part], {name: value}, {}, RANGES, "1", None, UNITS, MEANS)
    return found


@pytest.mark.parametrize(
    ("name", "value", "measurement", "minutes", "unit", "low", "high", "direction"),
    [
        ("errors_24h", 4.0, "errors_24h", 0, "", 0.0, 1.0, "above"),
        ("load_ratio", 0.2, "load_ratio", 0, "", 0.5, 0.9, "below"),
        ("equipment_age_days", 900.0, "equipment_age_days", 0, "d", None, None, "within"),
        ("failures_90d", 2.0, "failures_90d", 0, "", None, None, "within"),
        ("hours_since_maintenance", float("nan"), "hours_since_maintenance", 0, "h", None, None, "missing"),
        ("temperature_z_score_24h", -3.0, "temperature", 1440, "σ", -2.0, 2.0, "below"),
        ("vibration_deviation_5m", 2.5, "vibration", 5, "σ", -2.0, 2.0, "above"),
        # Measured, at a load without a baseline; and not measured at all.
        ("temperature_deviation_5m", float("nan"), "temperature", 5, "°C", None, None, "missing"),
        ("pressure_deviation_5m", float("nan"), "pressure", 5, "bar", None, None, "missing"),
        ("vibration_flat_minutes", 3.0, "vibration", 60, "min", 0.0, 5.0, "within"),
    ],
)
def test_a_reason_has_its_normal_range_and_direction(
    name: str, value: float, measurement: str, minutes: int, unit: str, low: float, high: float, direction: str
) -> None:
    found = reason(name, value)
    assert (found.measurement, found.window_minutes, found.unit) == (measurement, minutes, unit)
    assert (found.normal_low, found.normal_high, found.direction) == (low, high, direction)
    assert found.value == (MEANS.get(f"{measurement}_mean_5m") if direction == "missing" else value)


def test_what_a_machine_has_no_sensor_for_comes_after_what_it_measures() -> None:
    """Of a machine that tells no speed, the classifier still says that it is no belt: no reason to an operator."""
    names = ("speed_deviation_5m", "vibration_deviation_5m", "speed_flat_minutes", "errors_24h")
    part = Contributions("classifier", names, np.array([0.5, 0.2, 0.1, 0.01]), 0.2, 1.01, 3.0)
    vector = {"vibration_deviation_5m": 2.5, "errors_24h": 0.0}
    ranked = list(rank([part], vector, {}, RANGES, "1", None, UNITS, MEANS))
    assert [one.feature for one in ranked] == [names[1], names[3], names[0], names[2]]
    assert sum(one.contribution for one in ranked) == pytest.approx(0.81), "and all are kept"


@pytest.mark.parametrize(
    ("value", "unit", "low", "high", "direction", "told"),
    [
        (2.917, "mm/s", 1.541, 2.075, "above", "2.9 mm/s, above its normal 1.5 to 2.1 mm/s"),
        (3.253, "m/s", 3.2572, 3.692, "below", "3.25 m/s, below its normal 3.26 to 3.69 m/s"),
        (99.96, "t/h", 100.02, 120.0, "below", "99.96 t/h, below its normal 100.0 to 120.0 t/h"),
        (4.0, "", 0.0, 1.0, "above", "4, above its normal 0 to 1"),
        (61.25, "°C", None, None, "missing", "61.2 °C, and nothing is known to be normal there"),
        (900.0, "d", None, None, "within", "900 d"),
        (None, "bar", None, None, "missing", "not measured"),
    ],
)
def test_a_value_and_its_range_are_told_apart(
    value: float, unit: str, low: float, high: float, direction: str, told: str
) -> None:
    one = Reason(1, "q", "x_deviation_5m", "x", 5, value, unit, low, high, direction, 0.5, 0.0, 0.5, "1", None)
    assert list(lines(Explanation("r", "text", "1", [one])))[1] == f"1. x (mean of 5 min): {told}; q +0.5"
