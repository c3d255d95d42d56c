"""A reason's measured value beside its normal range, whatever kind of feature it is."""

from __future__ import annotations

import numpy as np
import pytest

from ml.recommending.contributions import Contributions
from ml.recommending.explanations import Reason, rank

RANGES: dict[str, tuple[float | None, float | None]] = {
    "errors_24h": (0.0, 1.0), "load_ratio": (0.5, 0.9), "equipment_age_days": (None, None)
}  # fmt: skip


def reason(name: str, value: float) -> Reason:
    part = Contributions("ahead", (name,), np.array([0.5]), 0.1, 0.6, 3.0)
    (found,) = rank([part], {name: value}, {}, RANGES, "1", None)
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
        ("vibration_flat_minutes", 3.0, "vibration", 60, "min", 0.0, 5.0, "within"),
    ],
)
def test_a_reason_has_its_normal_range_and_direction(
    name: str, value: float, measurement: str, minutes: int, unit: str, low: float, high: float, direction: str
) -> None:
    found = reason(name, value)
    assert (found.measurement, found.window_minutes, found.unit) == (measurement, minutes, unit)
    assert (found.normal_low, found.normal_high, found.direction) == (low, high, direction)
    assert found.value == (None if direction == "missing" else value)
